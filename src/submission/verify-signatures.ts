import { createPublicKey, verify as cryptoVerify } from "node:crypto";
import { StrKey, type xdr } from "@stellar/stellar-sdk";
import type { AccountId } from "../stellar/credit.js";

/**
 * What the signatures say about the hash:
 * - `verified`: one of them was made over it by the key of an account that the transaction names
 * - `contradicted`: some carry the hint of such a key, and none of those was made over it
 * - `unknown`: made by other signers of an account (CAP-21, multisig), which only the network knows; or too many to try
 */
export type SignatureFinding = "verified" | "contradicted" | "unknown";

export type Verified = {
  readonly finding: SignatureFinding;
  /** Whose keys have signed it, each once however often it signed. */
  readonly by: ReadonlySet<AccountId>;
};

/** Whether `signature` was made over `hash` by the 32-byte Ed25519 key. */
export type Verify = (hash: Uint8Array, key: Uint8Array, signature: Uint8Array) => boolean;

/**
 * Verifications of one envelope: a transaction carries at most 20 signatures (Stellar-transaction.x), and a fee bump
 * around it one that counts. An honest signature has the hint of one key alone.
 */
const MOST_VERIFICATIONS = 21;

/**
 * Verifies the signatures of one envelope, within a bound for all of it. A hint has 4 bytes and is its sender's to
 * choose: without the bound 20 signatures and 200 accounts of one hint keep the API's only thread busy for seconds.
 *
 * node:crypto does the arithmetic: the SDK's portable verify takes two milliseconds.
 */
export class SignatureVerifier {
  #left = MOST_VERIFICATIONS;

  constructor(private readonly verify: Verify = verifyEd25519) {}

  /**
   * Asks whether a transaction was signed for this network: its hash covers the passphrase, the envelope does not hold
   * it, so a signature is the only thing that can tell.
   * @param accounts whom the transaction names, tried in this order; the hint is the last 4 bytes of a signer's key
   */
  check(
    hash: Uint8Array,
    signatures: readonly xdr.DecoratedSignature[],
    accounts: ReadonlySet<AccountId>,
  ): Verified {
    const byHint = groupByHint(accounts);
    const by = new Set<AccountId>();
    let isContradicted = false;
    for (const { hint, signature } of signatures) {
      for (const { account, key } of byHint.get(hintText(hint.toBytes())) ?? []) {
        if (by.has(account)) continue;
        if (this.#left === 0) return { finding: by.size > 0 ? "verified" : "unknown", by };
        this.#left--;
        if (this.verify(hash, key, signature.toBytes())) by.add(account);
        else isContradicted = true;
      }
    }
    const otherwise = isContradicted ? "contradicted" : "unknown";
    return { finding: by.size > 0 ? "verified" : otherwise, by };
  }
}

type Signer = { readonly account: AccountId; readonly key: Buffer };

function groupByHint(accounts: ReadonlySet<AccountId>): Map<string, Signer[]> {
  const signers = [...accounts].map((account) => ({
    account,
    key: Buffer.from(StrKey.decodeEd25519PublicKey(account)),
  }));
  return Map.groupBy(signers, ({ key }) => hintText(key.subarray(-4)));
}

function hintText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** DER of an Ed25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function verifyEd25519(hash: Uint8Array, key: Uint8Array, signature: Uint8Array): boolean {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: "der", type: "spki" });
  return cryptoVerify(null, hash, publicKey, signature);
}
