import type { Charge } from "../entities/charge.js";
import type { MemoKey } from "../stellar/memo.js";
import type { EnvelopeFault } from "../submission/envelope-error.js";
import type { SignedTransaction } from "../submission/signed-transaction.js";

/** What a merchant asks for, with money and account read already. */
export type ChargeRequest = Pick<
  Charge,
  "merchantId" | "reference" | "amount" | "currency" | "asset" | "account" | "metadata"
> & {
  /** As it came: the provider's own. */
  readonly payload: Readonly<Record<string, unknown>>;
};

/** The stored part of a charge that can be tried. */
export type Acceptance = {
  /** Normalised: what `charge` needs and nothing else. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** Where the provider's name for it is known from the start. */
  readonly providerId: string | null;
  /** A charge on the network: kept in the transaction that creates the charge. */
  readonly submission: SignedTransaction | null;
  /** Of a charge on the network: the memo that its transaction must carry. Unique on the account, as a session's is. */
  readonly memoKey?: MemoKey;
  /** Why the transaction can't pay this charge: it does not carry that memo. Then the charge is refused, applied or not. */
  readonly unbound?: ChargeRefusedError;
  /** Why it can't be sent any more: then it is accepted only where what it brought is in the books. */
  readonly onlyIfApplied?: ChargeRefusedError;
};

/** What a program must know of a refusal; each is a member of the problem document. */
export type RefusalFacts = {
  /** Which of the reasons it is: stable. */
  readonly code?: EnvelopeFault | "used" | "applied" | "for_session";
  /** The hash memo that the transaction must carry, in hex. */
  readonly memo_hash?: string;
  /** The charge that the transaction was handed in for first. */
  readonly charge_id?: string;
  /** The checkout session that the transaction pays, or has paid. */
  readonly session_id?: string;
  /** Keys of the exceptions where the money is. */
  readonly exceptions?: readonly string[];
};

/** Says whether a charge can be tried at all. Pure: no network, no database; `now` is the caller's. */
export interface Acceptor {
  readonly name: string;
  /** @throws ChargeRefusedError */
  accept(request: ChargeRequest, now: Date): Acceptance;
}

/** A charge that its provider could never make. */
export class ChargeRefusedError extends Error {
  override readonly name = "ChargeRefusedError";

  /**
   * @param field where in the request, such as `payload.transaction`
   * @param message what is wrong and what to do, for the developer who sees it
   */
  constructor(
    readonly field: string,
    message: string,
    readonly facts: RefusalFacts = {},
  ) {
    super(message);
  }
}
