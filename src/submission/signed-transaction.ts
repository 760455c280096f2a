import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type Reference, referenceOf } from "../stellar/reference.js";
import type { Incoming } from "./incoming.js";
import type { ReadEnvelope } from "./read-envelope.js";

/** A signed transaction as the network will know it. */
export type SignedTransaction = {
  /** Of a fee bump the inner one: bumped again it has another outer hash. */
  readonly hash: TransactionHash;
  /** Of a fee bump, as it was handed in; null of any other. */
  readonly outerHash: TransactionHash | null;
  /** Base64 of the TransactionEnvelope, sent as it came. */
  readonly envelope: string;
  /** The account that it pays. */
  readonly account: AccountId;
  /** Its upper time bound: it can be in no ledger that closes later (CAP-21). */
  readonly maxTime: Date;
  /** What its operations to the account name, each once; null for those that name nothing. */
  readonly references: readonly (Reference | null)[];
};

/** The stored part of an envelope that was checked. */
export function signedTransaction(
  { hash, outerHash, envelope, memo }: ReadEnvelope,
  checked: { readonly account: AccountId; readonly maxTime: Date; readonly incoming: readonly Incoming[] },
): SignedTransaction {
  const { account, maxTime, incoming } = checked;
  const references = [...new Set(incoming.map(({ muxed }) => referenceOf({ muxed, memo })))];
  return { hash, outerHash, envelope, account, maxTime, references };
}
