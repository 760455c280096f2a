import type { AccountId, CreditKey } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { type Decoded, decodeRecord, UNKEYED_INDEX } from "./decode.js";
import { keyOf } from "./fields.js";

export type PageItem = {
  /** Cursor to go on from once the item is done: its own id, or its predecessor's where it has none. */
  readonly operationId: OperationId;
  readonly decoded: Decoded;
};

/** A record with its place in the network's order. */
export type PlacedRecord = {
  readonly operationId: OperationId;
  readonly record: unknown;
  /** What it goes by where it has no readable id. */
  readonly unkeyed: CreditKey | null;
};

/** Decodes a page of an account's payments feed, in the order of `placeRecords`. */
export function decodePage(records: readonly unknown[], account: AccountId, after: OperationId): PageItem[] {
  return placeRecords(records, after).map(({ operationId, record, unkeyed }) => ({
    operationId,
    decoded: decodeRecord(record, account, unkeyed ?? undefined),
  }));
}

/**
 * Puts a page of a payments feed in the network's order: sorted by operation id, without what is at or below
 * `after` and without repeats (the first copy counts), whatever order and repeats the server sent.
 *
 * A record without a readable id is kept under the id of the last readable record before it in the
 * page (`after` if there is none) and move index 1,000,000 + n, n counting those after the same record. The key is
 * the same wherever the page was cut, so a second fetch finds the same row; it can lie at `after` itself, so what
 * is done must be told by the whole key (compareKeys), not by the operation id alone.
 */
export function placeRecords(records: readonly unknown[], after: OperationId): PlacedRecord[] {
  const seen = new Set<OperationId>();
  const placed: PlacedRecord[] = [];
  let last = after;
  let count = 0;
  for (const record of records) {
    const operationId = keyOf(record);
    if (operationId === null) {
      const unkeyed = { operationId: last, moveIndex: UNKEYED_INDEX + count++ };
      placed.push({ operationId: last, record, unkeyed });
      continue;
    }
    if (operationId <= after || seen.has(operationId)) continue;
    seen.add(operationId);
    placed.push({ operationId, record, unkeyed: null });
    last = operationId;
    count = 0;
  }
  // The sort is stable: what has no id stays behind its predecessor.
  return placed.sort((a, b) => (a.operationId < b.operationId ? -1 : a.operationId > b.operationId ? 1 : 0));
}
