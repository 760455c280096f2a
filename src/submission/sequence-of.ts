import { FeeBumpTransaction, TransactionBuilder } from "@stellar/stellar-sdk";
import type { AccountId } from "../stellar/credit.js";
import { splitAddress } from "./read-operation.js";

/** What a transaction uses up when it applies. */
export type SequenceNumber = {
  /** Of a fee bump the source of the transaction inside. */
  readonly source: AccountId;
  readonly sequence: bigint;
};

/**
 * The sequence number of a transaction that was kept.
 * @param envelope as readEnvelope took it
 */
export function sequenceOf(envelope: string, passphrase: string): SequenceNumber {
  const parsed = TransactionBuilder.fromXdr(envelope, passphrase);
  const { source, sequence } = parsed instanceof FeeBumpTransaction ? parsed.innerTransaction : parsed;
  return { source: splitAddress(source).account, sequence: BigInt(sequence) };
}
