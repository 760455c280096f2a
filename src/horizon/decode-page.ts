import type { AccountId, CreditKey } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { type Decoded, decodeRecord, UNKEYED_INDEX } from "./decode.js";
import { HorizonError } from "./errors.js";
import { keyOf } from "./fields.js";
import type { RecordPage } from "./read-records.js";

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
  return placeRecords(records, after).map((placed) => decodePlaced(placed, account));
}

/** Decodes one record of a page. Of a whole page that takes longer than a turn of the event loop may: see Turns. */
export function decodePlaced({ operationId, record, unkeyed }: PlacedRecord, account: AccountId): PageItem {
  return { operationId, decoded: decodeRecord(record, account, unkeyed ?? undefined) };
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
  return placed.sort((a, b) => Number(a.operationId - b.operationId));
}

/**
 * Where the next page begins, and whether there is one.
 * @param placed the page's records, as `placeRecords` has put them
 * @throws HorizonError `broken_body` where going on would skip something: a full page without an id that can be read; or
 *   a page that broke off and is not in the network's order, since what is missing could lie before what came
 */
export function endOfPage(
  page: RecordPage,
  placed: readonly { readonly operationId: OperationId }[],
  after: OperationId,
  limit: number,
): { readonly cursor: OperationId; readonly isLast: boolean } {
  const cursor = placed.at(-1)?.operationId ?? after;
  const isLast = page.isWhole && page.records.length < limit;
  if (!isLast && cursor === after) {
    throw new HorizonError(
      "broken_body",
      `a page after ${after} leads nowhere: it has no id that can be read`,
    );
  }
  if (!page.isWhole && !isAscending(page.records)) {
    throw new HorizonError("broken_body", `a page after ${after} broke off, and is not in order`);
  }
  return { cursor, isLast };
}

function isAscending(records: readonly unknown[]): boolean {
  const ids = records.map(keyOf).filter((id) => id !== null);
  return ids.every((id, i) => id >= (ids[i - 1] ?? id));
}
