import { FeeBumpTransaction, TransactionBuilder } from "@stellar/stellar-sdk";

/**
 * The transaction inside a fee bump, with its own signatures.
 * @param envelope as readEnvelope took it, base64
 * @returns base64; any other envelope as it is
 */
export function innerEnvelope(envelope: string): string {
  // Only a hash depends on the network's passphrase, and none is made here.
  const parsed = TransactionBuilder.fromXdr(envelope, "any");
  if (!(parsed instanceof FeeBumpTransaction)) return envelope;
  return parsed.innerTransaction.toEnvelope().toXdr("base64");
}
