import type { SessionStatus } from "../../entities/checkout-session.js";
import type { ExceptionReason, VerdictWord } from "../../entities/credit.js";
import type { SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { type Asset, codeOf, issuerOf } from "../../stellar/asset.js";
import { type Memo, memoParts } from "../../stellar/memo.js";
import { PUBLIC_NETWORK } from "../../stellar/network.js";
import type { Obstacle } from "../../stellar/payable.js";
import { type Stroops, trimmedAmount } from "../../stellar/stroops.js";
import { payAddress, payRequest, type Sep7Signer } from "./sep7.js";
import { fateWords, type Words, wordsFor, wrongAssetWords } from "./words.js";

/** What the page shows, and nothing else that is known of a session. */
export type CheckoutView = {
  readonly id: string;
  readonly shop: string;
  /** Without zeros that say nothing: `12.5`. */
  readonly amount: string;
  /** `XLM` for lumens. */
  readonly code: string;
  readonly issuer: string | null;
  readonly words: Words;
  /** Status and anomaly, such as `pending null`: by it the script knows what an event tells already. */
  readonly state: string;
  /** Beside the words: what came in another asset. */
  readonly note: string | null;
  /** What has arrived for the session and what became of it, the oldest first; empty where its payment alone has come. */
  readonly credits: readonly { readonly amount: string; readonly became: string }[];
  /** Whether there are more than the page lists. */
  readonly moreCredits: boolean;
  /** Whether something beside the payment must be read: then the page does not leave by itself. */
  readonly inQuestion: boolean;
  /** Null once nothing should be sent any more. */
  readonly pay: PayInstructions | null;
  /** Whole seconds to pay in; null when the time doesn't matter any more. */
  readonly secondsLeft: number | null;
  /** `open`: a payment may come any moment. `over`: it may still turn out to have come in time. */
  readonly phase: "open" | "over" | "paid";
  readonly successUrl: string | null;
  readonly cancelUrl: string | null;
  readonly testNetwork: boolean;
};

export type PayInstructions = {
  /** The SEP-7 request. */
  readonly uri: string;
  readonly address: string;
  readonly memo: Memo | null;
};

/** A credit of the session that settled nothing and waits for a verdict. */
export type OddCredit = { readonly reason: ExceptionReason; readonly amount: Stroops; readonly asset: Asset };

/** A credit of the session, with what became of it. */
export type ArrivedCredit = {
  readonly amount: Stroops;
  readonly asset: Asset;
  /** Why it settled nothing; null of the payment. */
  readonly reason: ExceptionReason | null;
  /** What the shop decided about it; null while nobody has. */
  readonly verdict: VerdictWord | null;
};

/** All that the page is made from. */
export type Checkout = {
  readonly session: SessionWithAnomaly;
  readonly shop: string;
  readonly odd: readonly OddCredit[];
  /** Every credit that could be read, the oldest first, up to a bound. */
  readonly arrived: readonly ArrivedCredit[];
  readonly moreArrived: boolean;
  /** What arrived beyond the amount; null while nothing has paid the session. */
  readonly surplus: Stroops | null;
  /** What the network said to the last transaction that was handed in and did not pay; null where there is none. */
  readonly refused: string | null;
  /** What it said to the one that is on its way, where it would not take it yet. */
  readonly delayed: string | null;
  /** Why a payment would not arrive; null where it would, or where nobody knows. */
  readonly obstacle: Obstacle | null;
};

export type ViewOptions = {
  readonly networkPassphrase: string;
  /** Without a slash at the end. */
  readonly publicUrl: string;
  readonly signer: Sep7Signer | null;
  readonly now: Date;
};

/** Decides what a customer sees of a session. Pure. */
export function viewOf(checkout: Checkout, options: ViewOptions): CheckoutView {
  const { session, shop } = checkout;
  const [code, issuer] = [codeOf(session.asset), issuerOf(session.asset)];
  const msLeft = session.expiresAt.getTime() - options.now.getTime();
  const phase = phaseOf(session.status);
  const isOffered = canBePaid(checkout, options.now);
  // The payment must be able to arrive: the network would refuse it, for a fee.
  const canPay = isOffered && checkout.obstacle === null;
  const isAlone = checkout.arrived.every(({ reason }) => reason === null);
  const stray = checkout.odd.filter(({ reason }) => reason === "wrong_asset");
  return {
    id: session.id,
    shop,
    amount: trimmedAmount(session.amount),
    code: code ?? "",
    issuer,
    words: wordsFor({
      status: session.status,
      anomaly: session.anomaly,
      hasOtherCredits: !isAlone,
      shop,
      amount: priced(session.amount, session.asset),
      odd: oddOf(checkout),
      timeIsUp: msLeft <= 0,
      refused: checkout.refused,
      delayed: checkout.delayed,
      cannotArrive: isOffered && !canPay,
    }),
    state: `${session.status} ${session.anomaly}`,
    note: stray.length === 0 ? null : wrongAssetWords({ shop, odd: listed(stray) }),
    credits: isAlone
      ? []
      : checkout.arrived.map((credit) => ({
          amount: priced(credit.amount, credit.asset),
          became: fateWords(credit, shop),
        })),
    moreCredits: checkout.moreArrived,
    inQuestion: !isAlone || session.anomaly !== null,
    pay: canPay
      ? {
          uri: payRequest(session, {
            ...options,
            message: `Payment to ${shop}`,
            callback: `${options.publicUrl}/pay/${session.id}/transaction`,
          }),
          address: payAddress(session),
          memo: memoParts(session.memoKey).memo,
        }
      : null,
    secondsLeft: isOffered ? Math.ceil(msLeft / 1000) : null,
    phase,
    successUrl: phase === "paid" ? webPage(session.successUrl) : null,
    cancelUrl: phase === "paid" ? null : webPage(session.cancelUrl),
    testNetwork: options.networkPassphrase !== PUBLIC_NETWORK,
  };
}

/** Whether a payment is still asked for. While a transaction is in flight too: it can be anybody's. Pure. */
export function canBePaid({ session }: Pick<Checkout, "session">, now: Date): boolean {
  return phaseOf(session.status) === "open" && session.expiresAt.getTime() > now.getTime();
}

function phaseOf(status: SessionStatus): CheckoutView["phase"] {
  if (status === "paid") return "paid";
  return status === "pending" || status === "processing" ? "open" : "over";
}

/** What the second axis is about, in amounts. */
function oddOf({ session, odd, surplus }: Checkout): string {
  if (session.anomaly === "overpaid" && surplus !== null) return priced(surplus, session.asset);
  return listed(odd.filter(({ reason }) => reason === session.anomaly));
}

function listed(credits: readonly OddCredit[]): string {
  const amounts = credits.map(({ amount, asset }) => priced(amount, asset));
  if (amounts.length < 2) return amounts[0] ?? "";
  return `${amounts.slice(0, -1).join(", ")} and ${amounts.at(-1)}`;
}

function priced(amount: Stroops, asset: Asset): string {
  // A no-break space: an amount is one word.
  return `${trimmedAmount(amount)}\u00a0${codeOf(asset)}`;
}

/** A link of the merchant's that may stand on the page: one with `javascript:` would be ours to answer for. */
function webPage(text: string | null): string | null {
  if (text === null || !URL.canParse(text)) return null;
  return ["https:", "http:"].includes(new URL(text).protocol) ? text : null;
}
