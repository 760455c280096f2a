import { createHash } from "node:crypto";
import { StrKey, type xdr } from "@stellar/stellar-sdk";
import { isAccountId } from "../stellar/account.js";
import type { AccountState, Signer } from "./account-state.js";
import { SignatureVerifier } from "./verify-signatures.js";

export type Signatures = {
  readonly hash: Uint8Array;
  readonly signatures: readonly xdr.DecoratedSignature[];
};

/**
 * Which of an account's signers have signed. Pure.
 *
 * Kinds of signers that are not known here count as having signed: only the account's owner can have set them.
 */
export function signedBy({ signers }: AccountState, { hash, signatures }: Signatures): readonly Signer[] {
  const keys = new Set(signers.map(({ key }) => key).filter(isAccountId));
  const { by } = new SignatureVerifier().check(hash, signatures, keys);
  return signers.filter(({ key, type }) => {
    if (type === "ed25519_public_key") return isAccountId(key) && by.has(key);
    if (type === "preauth_tx") return isSame(StrKey.decodePreAuthTx(key), hash);
    if (type !== "sha256_hash") return true;
    const image = StrKey.decodeSha256Hash(key);
    return signatures.some(({ signature }) => isSame(image, sha256(signature.toBytes())));
  });
}

/** Whether the signers' weights suffice. Without any weight nobody has signed, whatever the threshold says. */
export function suffices(signers: readonly Signer[], threshold: number): boolean {
  return signers.reduce((sum, { weight }) => sum + weight, 0) >= Math.max(threshold, 1);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one).equals(other);
}
