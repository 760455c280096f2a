import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { StrKey, type xdr } from "@stellar/stellar-sdk";

/**
 * Which signatures an account's master key made. The sandbox knows no other signers: its set_options adds none.
 * node:crypto does the arithmetic: the SDK's portable verify takes two milliseconds, which would make the
 * sandbox the slowest part of every load test.
 */
export class SignatureCheck {
  readonly #used = new Set<number>();

  constructor(
    readonly hash: Uint8Array,
    readonly signatures: readonly xdr.DecoratedSignature[],
  ) {}

  /** Whether `account` (G…) signed; marks its signature as used. */
  signedBy(account: string): boolean {
    const raw = StrKey.decodeEd25519PublicKey(account);
    const hint = Buffer.from(raw.subarray(-4));
    for (const [i, signature] of this.signatures.entries()) {
      if (!hint.equals(signature.hint.toBytes())) continue;
      if (!verify(null, this.hash, publicKey(raw), signature.signature.toBytes())) continue;
      this.#used.add(i);
      return true;
    }
    return false;
  }

  /** The network refuses signatures that nobody needed. */
  allUsed(): boolean {
    return this.#used.size === this.signatures.length;
  }
}

/** DER of an Ed25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function publicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: "der", type: "spki" });
}
