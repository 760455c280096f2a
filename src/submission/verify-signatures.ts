import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { StrKey, type xdr } from "@stellar/stellar-sdk";
import type { AccountId } from "../stellar/credit.js";

/**
 * What the signatures say about the hash:
 * - `verified`: one of them was made over it by the key of an account that the transaction names
 * - `contradicted`: some carry the hint of such a key, and none of those was made over it
 * - `unknown`: made by other signers of an account (CAP-21, multisig), which only the network knows
 */
export type SignatureFinding = "verified" | "contradicted" | "unknown";

/**
 * Asks whether a transaction was signed for this network: its hash covers the passphrase, the envelope does not hold
 * it, so a signature is the only thing that can tell.
 *
 * node:crypto does the arithmetic: the SDK's portable verify takes two milliseconds, on the API's only thread.
 * @param accounts whom the transaction names; the hint is the last 4 bytes of a signer's key (Stellar-transaction.x)
 */
export function verifySignatures(
  hash: Uint8Array,
  signatures: readonly xdr.DecoratedSignature[],
  accounts: ReadonlySet<AccountId>,
): SignatureFinding {
  const keys = [...accounts].map((account) => StrKey.decodeEd25519PublicKey(account));
  let finding: SignatureFinding = "unknown";
  for (const signature of signatures) {
    const hint = Buffer.from(signature.hint.toBytes());
    for (const key of keys.filter((one) => hint.equals(one.subarray(-4)))) {
      if (verify(null, hash, publicKey(key), signature.signature.toBytes())) return "verified";
      finding = "contradicted";
    }
  }
  return finding;
}

/** DER of an Ed25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function publicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: "der", type: "spki" });
}
