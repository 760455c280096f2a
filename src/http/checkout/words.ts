import type { SessionStatus } from "../../entities/checkout-session.js";
import type { ExceptionReason } from "../../entities/credit.js";
import type { Anomaly } from "../../settlement/decide.js";

/** How a state looks: nothing to worry about yet, done, something to know, or over. */
export type Tone = "open" | "good" | "attention" | "over";

export type Words = { readonly tone: Tone; readonly title: string; readonly text: string };

/** What the words are about. Amounts are text for people, such as `12.5 XLM`. */
export type Facts = {
  readonly status: SessionStatus;
  readonly anomaly: Anomaly | null;
  /** Whether something has arrived beside the payment, which the page lists with what became of it. */
  readonly hasOtherCredits: boolean;
  readonly shop: string;
  readonly amount: string;
  /** What came that `anomaly` is about: the credits that wait for the shop's verdict, or the surplus. */
  readonly odd: string;
  /** Whether the time to pay has run out by our clock. The network's clock decides, so only words follow it. */
  readonly timeIsUp: boolean;
  /** What the network said to the last transaction that a wallet handed in and that did not pay. */
  readonly refused: string | null;
  /** What it said to the one that is on its way, where it would not take it yet. */
  readonly delayed: string | null;
  /** Whether the network would refuse a payment now, since the shop's account can't receive it. */
  readonly cannotArrive: boolean;
};

/**
 * What a customer is told: what happened, whether their money is safe, and what to do now. Pure.
 *
 * Whatever is odd waits for the shop, which was told of it: we promise nothing in its name.
 */
export function wordsFor(facts: Facts): Words {
  switch (facts.status) {
    case "pending":
      return whilePending(facts);
    case "processing":
      return whileOnItsWay(facts);
    case "paid":
      return oncePaid(facts);
    case "expired":
      return afterTheEnd(facts, "This payment request has expired", "No payment arrived in time.");
    case "cancelled":
      return afterTheEnd(facts, "This payment request was cancelled", `${facts.shop} cancelled it.`);
  }
}

function whilePending({ anomaly, shop, amount, odd, timeIsUp, refused, cannotArrive }: Facts): Words {
  if (cannotArrive) {
    const arrived = isOrdinary(anomaly)
      ? ""
      : ` ${odd} arrived before. ${withTheShop("What you sent", shop)}`;
    return {
      tone: "attention",
      title: "This can’t be paid right now",
      text: `The account of ${shop} can’t receive ${amount} at the moment. Please don’t send anything: it would not arrive. This page changes by itself when it can be paid.${arrived}`,
    };
  }
  if (timeIsUp) {
    return {
      tone: "attention",
      title: "Time is up",
      text: `Please don’t send anything now. Have you paid already? Then stay: a payment that was made in time counts, and this page changes by itself.${isOrdinary(anomaly) ? "" : ` ${odd} arrived. ${withTheShop("What you sent", shop)}`}`,
    };
  }
  switch (anomaly) {
    case null:
    case "wrong_asset":
    case "overpaid": {
      const why = refusalWords(refused, shop);
      if (why !== null) {
        return {
          tone: "attention",
          title: "Your payment did not go through",
          text: `${why} To pay, send exactly ${amount} in one payment. This page changes by itself when it arrives.`,
        };
      }
      return {
        tone: "open",
        title: "Waiting for your payment",
        text: `Send exactly ${amount} in one payment. This page changes by itself when it arrives.`,
      };
    }
    case "underpaid":
      return {
        tone: "attention",
        title: "That was too little",
        text: `${odd} arrived, but ${amount} is needed in one payment, so this order is not paid yet. ${withTheShop("What you sent", shop)} To pay now, send the full ${amount}.`,
      };
    case "late":
    case "duplicate":
      return {
        tone: "attention",
        title: "Your payment needs a look",
        text: `${odd} arrived, but can’t pay this order by itself. ${withTheShop("What you sent", shop)}`,
      };
  }
}

function whileOnItsWay({ delayed, cannotArrive }: Facts): Words {
  const why = delayWords(delayed);
  const orPay = cannotArrive ? "" : OR_PAY;
  if (why !== null) {
    return {
      tone: "attention",
      title: "Your payment is held up",
      text: `${why} We try again by ourselves, and this page says when it has gone through. If it is yours, please don’t send another payment now.${orPay}`,
    };
  }
  return {
    tone: "open",
    title: "Your payment is on its way",
    text: `It was sent to the network, which takes a few seconds. This page changes by itself.${orPay}`,
  };
}

/** Anybody who knows the address of a session can hand in a transaction for it: the customer must still see how to pay. */
const OR_PAY = " If you have not paid yet, you still can.";

function oncePaid({ anomaly, shop, amount, odd, hasOtherCredits }: Facts): Words {
  const paid = { tone: "good", title: "Paid. Thank you!" } as const;
  switch (anomaly) {
    case null:
    case "wrong_asset":
      // No amount: the shop may have accepted less.
      return {
        ...paid,
        text: `Your payment has arrived, and ${shop} knows about it.${hasOtherCredits ? BELOW : ""}`,
      };
    case "overpaid":
      return {
        tone: "good",
        title: "Paid, with more than was needed",
        text: `Your order is paid. ${odd} more than ${amount} arrived. ${withTheShop("The rest", shop)}`,
      };
    case "duplicate":
      return {
        tone: "good",
        title: "Paid, and then paid again",
        text: `Your order is paid, and another ${odd} arrived after that. ${withTheShop("It", shop)}`,
      };
    case "underpaid":
    case "late":
      return {
        ...paid,
        text: `Your order is paid. Another payment, ${odd}, was not counted: it ${anomaly === "late" ? "came too late" : "was too small"}. ${withTheShop("It", shop)}`,
      };
  }
}

function afterTheEnd({ anomaly, shop, odd, hasOtherCredits }: Facts, title: string, why: string): Words {
  switch (anomaly) {
    case null:
    case "wrong_asset":
    case "overpaid":
      return {
        tone: "over",
        title,
        text: `${hasOtherCredits ? "What arrived did not pay it: below stands what became of it." : why} Please don’t send anything now: go back to ${shop} for a new request.`,
      };
    case "late":
      return {
        tone: "attention",
        title: "Your payment came too late",
        text: `${odd} arrived after this request had ended, so your order is not paid yet. ${withTheShop("What you sent", shop)} Please don’t pay again before you have heard from the shop.`,
      };
    case "underpaid":
      return {
        tone: "attention",
        title: "Too little arrived in time",
        text: `${odd} arrived, less than was needed, and this request has ended. ${withTheShop("What you sent", shop)} Please don’t send anything now.`,
      };
    case "duplicate":
      return {
        tone: "attention",
        title: "Your payment needs a look",
        text: `${odd} arrived for a request that has ended. ${withTheShop("What you sent", shop)} Please don’t send anything now.`,
      };
  }
}

const BELOW = " What else arrived, and what became of it, stands below.";

function isOrdinary(anomaly: Anomaly | null): boolean {
  return anomaly === null || anomaly === "wrong_asset";
}

const WHY_NOT: Readonly<Partial<Record<ExceptionReason, string>>> = {
  duplicate: "came after the order was paid",
  late: "came too late",
  underpaid: "was too little",
  wrong_asset: "is not the asset that was asked for",
};

/** What became of a credit, in words that go on after its amount. */
export function fateWords(
  { reason, verdict }: { readonly reason: ExceptionReason | null; readonly verdict: string | null },
  shop: string,
): string {
  if (reason === null) return "paid this order.";
  const why = WHY_NOT[reason] ?? "could not be matched";
  switch (verdict) {
    case "refund":
      return `${why}. ${shop} owes it to its sender and will send it back.`;
    case "dismiss":
      return `${why}. ${shop} has looked at it, and it does not count for this order: please ask there.`;
    default:
      return `${why}. It is with ${shop}, who has not decided about it yet.`;
  }
}

function withTheShop(what: string, shop: string): string {
  return `${what} is with ${shop}, who was told about it: please ask there.`;
}

/** Money in another asset is no matter of the order's, but its sender must hear of it. */
export function wrongAssetWords({ shop, odd }: { readonly shop: string; readonly odd: string }): string {
  return `${odd} arrived too, which is not the asset asked for and does not count. ${withTheShop("What you sent", shop)}`;
}

/**
 * Why the last transaction that a wallet handed in did not pay, and what its owner can do about it. Pure.
 *
 * Codes as the network says them (Stellar-transaction.x): `tx_too_late`, `tx_failed (op_underfunded)`. Each text says
 * where the money is: a transaction that failed has moved none, but for its fee.
 * @param resultCode null where there was none, or nothing was said to it
 * @returns null where there is nothing to say: it went through, and what it brought has words of its own
 */
export function refusalWords(resultCode: string | null, shop: string): string | null {
  if (resultCode === null || resultCode.startsWith("tx_success")) return null;
  const [, why] = WHYS.find(([codes]) => codes.test(resultCode)) ?? [];
  return why?.(shop) ?? "The network refused it, and your money was not sent.";
}

/**
 * Why a transaction that is on its way is held up: the network would not take it yet, and is asked again.
 * @param answer what it said last; null where it took it
 * @returns null where nothing need be said: it goes on by itself in a moment
 */
export function delayWords(answer: string | null): string | null {
  if (answer === null) return null;
  const [, why] = DELAYS.find(([codes]) => codes.test(answer)) ?? [];
  return why ?? null;
}

/** Not `tx_bad_seq`: also said of a transaction that has applied. */
const DELAYS: readonly (readonly [codes: RegExp, why: string])[] = [
  [/tx_insufficient_fee/, "The network is busy, and the fee that your wallet offered is too low for it now."],
  [/tx_insufficient_balance/, "There is not enough in the account that you pay from."],
  [/tx_bad_auth/, "It was not signed by all who must sign for that account."],
];

const WHYS: readonly (readonly [codes: RegExp, why: (shop: string) => string])[] = [
  [
    /op_underfunded|tx_insufficient_balance/,
    () =>
      "There is not enough in the account that you paid from, so your money was not sent. Add to it, or use another account.",
  ],
  [
    /op_src_no_trust|op_src_not_authorized/,
    () =>
      "The account that you paid from can’t send this asset, so your money was not sent. Use another account.",
  ],
  [
    /op_no_trust|op_line_full|op_no_destination|op_not_authorized/,
    (shop) =>
      `${shop} can’t receive it at the moment, so your money was not sent. Please tell the shop before you try again.`,
  ],
  [
    /op_too_few_offers|op_over_source_max|op_under_dest_min/,
    () =>
      "The price of what you paid with has changed meanwhile, so your money was not sent. Your wallet will show the new one.",
  ],
  [
    /tx_insufficient_fee/,
    () =>
      "The network is busy, and the fee that your wallet offered was too low, so your money was not sent. Offer a higher fee, if your wallet lets you.",
  ],
  [
    /tx_bad_auth/,
    () =>
      "It was not signed by all who must sign for that account, so your money was not sent. Check your wallet, or use another account.",
  ],
  [
    /tx_bad_seq/,
    () =>
      "Your wallet was sending something else at the same time, so this was not sent. You can try again now.",
  ],
  [
    /tx_too_late|tx_too_early/,
    () => "The network did not take it in time, so your money was not sent. You can try again now.",
  ],
];
