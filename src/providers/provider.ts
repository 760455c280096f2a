import type { Charge, FailureCode } from "../entities/charge.js";
import type { Movement } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import type { CheckedTransaction } from "../submission/check-payment.js";
import type { EnvelopeFault } from "../submission/read-envelope.js";

/** What a provider is told of a charge. Its id is the key under which it is charged, for life (G6). */
export type ChargeOrder = Pick<
  Charge,
  | "id"
  | "merchantId"
  | "reference"
  | "amount"
  | "currency"
  | "asset"
  | "account"
  | "payload"
  | "providerId"
  | "createdAt"
>;

/** The provider has the money. */
export type Succeeded = {
  readonly kind: "succeeded";
  /** What the provider calls it. */
  readonly providerId: string;
  /** Of a charge on the network: what its transaction brought, to be settled like everything that came. */
  readonly movements?: readonly Movement[];
};

/** Final: the provider has not charged and never will under this key. */
export type Declined = {
  readonly kind: "declined";
  readonly code: FailureCode;
  readonly detail: string;
  /** What the provider says of it to people and nothing else, where `detail` says more: for the charge and its event. */
  readonly sentence?: string;
};

export type InProgress = {
  readonly kind: "in_progress";
  readonly detail: string;
  /** Of a charge on the network that was sent now: the code of its refusal; null where it was taken. For its transaction. */
  readonly refusal?: string | null;
  /** When it will be decided, in milliseconds from now, where that is known: it is asked for then at the latest. */
  readonly askAfterMs?: number;
};

/** What came of a call that charges. */
export type ChargeOutcome =
  | Succeeded
  | Declined
  /**
   * Certainly nothing was done, and nothing is under way: safe to repeat. Only for what can be known (connection
   * refused before a byte was sent, 429): anything after the request may have left is `unknown`.
   */
  | {
      readonly kind: "refused";
      readonly detail: string;
      /** What the provider asked us to wait, in milliseconds. */
      readonly retryAfterMs?: number;
    }
  /** The provider answered, and has not decided yet: nothing speaks against the provider. `find` says the rest. */
  | InProgress
  /** It may have charged, or may still. Never guessed: `find` says what became of it. */
  | { readonly kind: "unknown"; readonly detail: string };

/** What came of a call that asks. */
export type FindOutcome =
  | Succeeded
  | Declined
  /** The provider knows it and has not decided, or can't say yet: ask again later. */
  | InProgress
  /** The provider knows of nothing: `charge` may be called again, since it charges under the same key. */
  | { readonly kind: "absent"; readonly detail: string }
  /** No answer: ask again later. */
  | { readonly kind: "unknown"; readonly detail: string };

/**
 * How money is moved. Neither method throws for what providers and networks do: each failure is an outcome, and the
 * provider's own file decides which. What is thrown all the same counts as `unknown`.
 *
 * Every provider passes test/providers/contract.ts.
 */
export interface Provider {
  readonly name: string;
  /**
   * Gives the charge its name at the provider without moving money; committed before `charge` is called, so that
   * whatever happens then can be asked for by that name. Called again under the same key it gives the same name.
   * Left out where the name is known from the start.
   */
  prepare?(charge: ChargeOrder, signal: AbortSignal): Promise<PrepareOutcome>;
  /** Charges, under the charge's key: any number of calls charge once at the most. `signal` is the deadline. */
  charge(charge: ChargeOrder, signal: AbortSignal): Promise<ChargeOutcome>;
  /** Asks what became of it. Moves nothing. */
  find(charge: ChargeOrder, signal: AbortSignal): Promise<FindOutcome>;
  /**
   * Sees to it that nothing can be charged under this key any more; asked before a charge is given up for another
   * reason than the provider's word. `declined` says that it is so. Left out where time alone brings it about.
   */
  giveUp?(charge: ChargeOrder, signal: AbortSignal): Promise<FindOutcome>;
}

export type PrepareOutcome =
  | { readonly kind: "prepared"; readonly providerId: string }
  | Declined
  /** No money can have moved: safe to repeat, whatever the reason. */
  | { readonly kind: "refused"; readonly detail: string; readonly retryAfterMs?: number };

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
  readonly submission: CheckedTransaction | null;
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
