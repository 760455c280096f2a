import type { MemoKey } from "./memo.js";

/**
 * What a credit, a session or a charge is found by: unique per receiving account. It has the form of a memo key:
 *
 * - `id:<decimal uint64>` for an id memo, for a muxed id, and for a text memo that is exactly that decimal number.
 *   Contract calls carry no memo, so that smart wallets put the id into the muxed address, and people type it as text.
 * - every other memo as it stands: a text memo is its bytes, never trimmed
 */
export type Reference = string & { readonly kind: "reference" };

/** What names the order of a payment: the memo of its transaction, and the muxed id of its operation. */
export type Naming = { readonly muxed: MemoKey | null; readonly memo: MemoKey | null };

/**
 * The one rule for what a credit names. The muxed id belongs to the operation and goes first. The memo is shared by all
 * operations of the transaction, and counts only where there is no muxed id: with both, two rules could give two streams.
 * @returns null where the credit names nothing
 */
export function referenceOf({ muxed, memo }: Naming): Reference | null {
  const key = muxed ?? memo;
  return key === null ? null : referenceOfKey(key);
}

/** The reference of one memo key. Never throws: text that is no memo key stays as it is. */
export function referenceOfKey(key: MemoKey): Reference {
  return (key.startsWith("muxed:") ? `id:${key.slice(6)}` : (numberInText(key) ?? key)) as Reference;
}

/** The digits of a number, each as the two hex digits of its ASCII code. */
const TYPED_NUMBER = /^text:(?:30|3[1-9](?:3[0-9]){0,19})$/;

const MAX_UINT64 = 2n ** 64n - 1n;

/** A text memo that is a uint64 in decimal, without leading zeros, as `id:<decimal>`; null for every other key. */
function numberInText(key: string): string | null {
  if (!TYPED_NUMBER.test(key)) return null;
  const digits = Buffer.from(key.slice(5), "hex").toString("latin1");
  return BigInt(digits) > MAX_UINT64 ? null : `id:${digits}`;
}
