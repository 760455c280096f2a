/** The faults of a transaction that was handed in: stable, for programs. */
export type EnvelopeFault =
  | "too_large"
  | "not_base64"
  | "not_a_transaction"
  /** An operation that the network takes from nobody, such as a payment of nothing. */
  | "bad_operation"
  | "unsigned"
  /** Signed for another network, or by another key. */
  | "wrong_signature"
  | "no_time_bound"
  | "expires_too_soon"
  | "expires_too_late"
  | "not_valid_yet"
  /** It acts for the account that it is to pay. */
  | "acts_for_account"
  /** It could bring the account more than its payments say, or take it away again. */
  | "unclear_value"
  | "pays_nothing"
  | "several_payments"
  | "wrong_asset"
  | "wrong_amount"
  | "wrong_memo"
  | "session_over"
  /** The network would not take it now, or it could not pay: its accounts were asked for. */
  | "source_unknown"
  | "bad_sequence"
  | "bad_signatures"
  | "insufficient_funds";

/** A transaction that was handed in and can't be taken. Nothing was kept or sent. */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";

  /** @param message what is wrong and what to do, for the developer who sees it */
  constructor(
    readonly code: EnvelopeFault,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
