import type { AccountId } from "./credit.js";
import { preview } from "./preview.js";
import { decodeStrKey, encodeStrKey, isStrKey } from "./strkey.js";

export class InvalidAccountError extends Error {
  override readonly name = "InvalidAccountError";
}

/**
 * Parses a `G…` account.
 * @throws InvalidAccountError when the form or the checksum is wrong (SEP-23)
 */
export function parseAccountId(text: unknown): AccountId {
  if (!isAccountId(text)) throw new InvalidAccountError(`not a G… account: ${preview(text)}`);
  return text;
}

/** Whether a text is a `G…` account, checksum included (SEP-23). */
export function isAccountId(text: unknown): text is AccountId {
  return typeof text === "string" && isStrKey("account", text);
}

/**
 * The `M…` address of an account and an id (SEP-23): what a payer sends to instead of attaching a memo.
 * @param id a decimal uint64
 */
export function muxedAddress(account: AccountId, id: string): string {
  const key = decodeStrKey("account", account);
  if (key === null) throw new InvalidAccountError(`not a G… account: ${preview(account)}`);
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(id));
  return encodeStrKey("muxedAccount", Buffer.concat([key, number]));
}

/** The account and the id in an `M…` address. @returns null for any other text */
export function parseMuxedAddress(
  address: string,
): { readonly account: AccountId; readonly id: bigint } | null {
  const bytes = decodeStrKey("muxedAccount", address);
  if (bytes === null) return null;
  const account = encodeStrKey("account", bytes.subarray(0, 32)) as AccountId;
  return { account, id: bytes.readBigUInt64BE(32) };
}
