import { type Fields, isFields } from "./fields.js";

/** Far over any real record without its XDR (2 to 4 KiB): what is longer is no ordinary record. */
const MAX_RECORD_BYTES = 64 * 1024;

/** Kept of an oversized record: enough to see what it is. */
const KEPT_CHARACTERS = 4 * 1024;

/** Bulk that an auditor can fetch again by the transaction's hash, and links. */
const DROPPED = new Set(["_links", "envelope_xdr", "result_xdr", "result_meta_xdr", "fee_meta_xdr"]);

export type RecordText = { readonly text: string; readonly fits: boolean };

/**
 * The record as JSON text for the auditor, without `_links` and the transaction's XDR. What is over 64 KiB, or no
 * JSON at all, becomes `{"truncated": "…"}` with `fits: false`: still JSON, so that a json column takes it.
 */
export function recordText(record: unknown): RecordText {
  let text: string;
  try {
    text = JSON.stringify(keptOf(record)) ?? "null";
  } catch (error) {
    // Nested deeper than the stack, or never was JSON: one record must not end the feed.
    return { text: JSON.stringify({ truncated: String(error) }), fits: false };
  }
  if (Buffer.byteLength(text) <= MAX_RECORD_BYTES) return { text, fits: true };
  return { text: JSON.stringify({ truncated: text.slice(0, KEPT_CHARACTERS) }), fits: false };
}

/** A record, or a transaction, without `_links` and XDR, its own and those of the transaction beside it. */
export function keptOf(record: unknown): unknown {
  if (!isFields(record)) return record;
  const kept = without(record);
  return isFields(kept.transaction) ? { ...kept, transaction: without(kept.transaction) } : kept;
}

function without(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !DROPPED.has(name)));
}
