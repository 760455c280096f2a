import { parseMuxedAddress } from "../stellar/account.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type MemoKey, memoOfTransaction, muxedId } from "../stellar/memo.js";
import { type LedgerSequence, type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { preview } from "../stellar/preview.js";
import { isStrKey } from "../stellar/strkey.js";
import { HorizonError } from "./errors.js";

/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** A field of a record that can't be read; `message` says which and why, for the operator. */
export class FieldError extends Error {
  override readonly name = "FieldError";
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a record was over the bound of a page's reader: nothing but its short fields is known. */
export function isOversized(record: Fields): boolean {
  return record.oversized === true;
}

/** The record's place in the network's order: its paging token, else its id; null when neither can be read. */
export function keyOf(record: unknown): OperationId | null {
  if (!isFields(record)) return null;
  return operationId(record.paging_token) ?? operationId(record.id);
}

const HOLDERS = ["account", "contract", "claimableBalance", "liquidityPool"] as const;

/**
 * An address that can hold or send value: account, contract, claimable balance or liquidity pool (SEP-23).
 * @throws FieldError when it is missing or its checksum is wrong
 */
export function addressOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && HOLDERS.some((kind) => isStrKey(kind, value))) {
    return value;
  }
  throw new FieldError(`${name} is no address: ${preview(value)}`);
}

/** @throws FieldError unless `transaction_hash` is 64 lower-case hex digits */
export function hashOf(fields: Fields): TransactionHash {
  const hash = fields.transaction_hash;
  if (!isHash(hash)) throw new FieldError(`transaction_hash is no hash: ${preview(hash)}`);
  return hash;
}

/**
 * The inner hash of a fee bump, from the joined transaction.
 * @returns null of any other transaction
 * @throws FieldError where there is one that can't be read: what it was handed in for would not be found
 */
export function innerHashOf(transaction: unknown): TransactionHash | null {
  const inner = isFields(transaction) ? transaction.inner_transaction : undefined;
  if (inner === undefined || inner === null) return null;
  const hash = isFields(inner) ? inner.hash : undefined;
  if (!isHash(hash)) throw new FieldError(`inner_transaction.hash is no hash: ${preview(hash)}`);
  return hash;
}

function isHash(value: unknown): value is TransactionHash {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** Close time of the ledger. @throws FieldError unless `created_at` is a UTC time as Horizon writes it */
export function closedAtOf(fields: Fields): Date {
  const text = fields.created_at;
  // Date takes "2020" or local times in silence: an expiry would then be judged by the wrong hour.
  const date = new Date(typeof text === "string" && RFC3339_UTC.test(text) ? text : Number.NaN);
  if (Number.isNaN(date.getTime())) throw new FieldError(`created_at is no time: ${preview(text)}`);
  return date;
}

/**
 * The memo, from the transaction that `join=transactions` puts beside the operation.
 * @throws FieldError when there is none or it is another transaction
 * @throws InvalidMemoError when its memo can't be read
 */
export function memoOf(record: Fields): MemoKey | null {
  const transaction = record.transaction;
  if (!isFields(transaction)) throw new FieldError("the transaction is missing (join=transactions)");
  // A fee-bumped transaction goes by its outer and its inner hash.
  const hashes = [transaction, transaction.fee_bump_transaction, transaction.inner_transaction].map(
    (named) => isFields(named) && named.hash,
  );
  // Another transaction's memo would settle another session.
  if (!hashes.includes(hashOf(record))) throw new FieldError("the joined transaction has another hash");
  if (transaction.successful === false) throw new FieldError("the joined transaction failed");
  return memoOfTransaction(transaction);
}

/**
 * The id of the `M…` address that was paid: `<name>_muxed_id`, else out of the address in `<name>_muxed`. Horizon
 * may leave the id field out, above all for id 0.
 * @returns null when a plain `G…` address was paid
 * @throws FieldError when id and address disagree or the address belongs to another account
 * @throws InvalidMemoError when the id is no uint64
 */
export function muxedOf(record: Fields, name: string, account: AccountId): MemoKey | null {
  const named = record[`${name}_muxed_id`];
  const address = record[`${name}_muxed`];
  const id = named === undefined ? null : muxedId(named);
  if (address === undefined) return id;
  const parsed = typeof address === "string" ? parseMuxedAddress(address) : null;
  if (parsed === null) {
    throw new FieldError(`${name}_muxed is no M… address: ${preview(address)}`);
  }
  if (parsed.account !== account) {
    throw new FieldError(`${name}_muxed is an address of another account`);
  }
  const decoded = muxedId(parsed.id);
  if (id !== null && id !== decoded) throw new FieldError(`${name}_muxed_id is not the id in the address`);
  return decoded;
}

function operationId(text: unknown): OperationId | null {
  try {
    return parseOperationId(text);
  } catch {
    return null;
  }
}

// Fields without which an answer is none: where one is missing, the server is as good as away (`broken_body`).

export function expectFields(body: unknown, where: string): Fields {
  if (isFields(body)) return body;
  throw new HorizonError("broken_body", `${where}: the body is no object`, { status: 200 });
}

export function textField(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw new HorizonError("broken_body", `${name} is missing`, { status: 200 });
}

export function ledgerField(fields: Fields, name: string): LedgerSequence {
  const value = fields[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value as LedgerSequence;
  throw new HorizonError("broken_body", `${name} is no ledger`, { status: 200 });
}

export function timeOrNull(text: unknown): Date | null {
  try {
    return closedAtOf({ created_at: text });
  } catch {
    return null;
  }
}

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
