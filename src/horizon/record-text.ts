import { type Fields, isFields } from "./fields.js";

/** Far over any real record without its XDR (2 to 4 KiB): what is longer is no ordinary record. */
const MAX_RECORD_BYTES = 64 * 1024;

/** Kept of an oversized record: enough to see what it is. */
const KEPT_CHARACTERS = 4 * 1024;

/** Bulk that an auditor can fetch again by the transaction's hash. */
const DROPPED = new Set(["_links", "envelope_xdr", "result_xdr", "result_meta_xdr", "fee_meta_xdr"]);

export type RecordText = { readonly text: string; readonly fits: boolean };

/**
 * The record as JSON text for the auditor, without `_links` and the transaction's XDR. What is over 64 KiB, or no
 * JSON at all, becomes `{"truncated": "…"}` with `fits: false`: still JSON, so that a json column takes it.
 */
export function recordText(record: unknown): RecordText {
  let text: string;
  try {
    text = JSON.stringify(trim(record)) ?? "null";
  } catch (error) {
    // Nested deeper than the stack, or never was JSON: one record must not end the feed.
    return { text: JSON.stringify({ truncated: String(error) }), fits: false };
  }
  if (Buffer.byteLength(text) <= MAX_RECORD_BYTES) return { text, fits: true };
  return { text: JSON.stringify({ truncated: text.slice(0, KEPT_CHARACTERS) }), fits: false };
}

function trim(record: unknown): unknown {
  if (!isFields(record)) return record;
  const { transaction, ...rest } = without(record, new Set(["_links"]));
  return isFields(transaction)
    ? { ...rest, transaction: without(transaction, DROPPED) }
    : without(record, DROPPED);
}

function without(fields: Fields, names: ReadonlySet<string>): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.has(name)));
}
