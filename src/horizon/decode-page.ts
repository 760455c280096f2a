import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { type Decoded, decodeRecord, UNKEYED_INDEX } from "./decode.js";
import { keyOf } from "./fields.js";

export type PageItem = {
  /** Cursor to go on from once the item is done: its own id, or its predecessor's where it has none. */
  readonly operationId: OperationId;
  readonly decoded: Decoded;
};

/**
 * Decodes a page of the payments feed in the network's order: sorted by operation id, without what is at or below
 * `after` and without repeats (the first copy counts), whatever order and repeats the server sent.
 *
 * A record without a readable id is kept as `unreadable` under the id of the last readable record before it in the
 * page (`after` if there is none) and move index 1,000,000 + n, n counting those after the same record. The key is
 * the same wherever the page was cut, so a second fetch finds the same row; it can lie at `after` itself, so what
 * is done must be told by the whole key (compareKeys), not by the operation id alone.
 */
export function decodePage(records: readonly unknown[], account: AccountId, after: OperationId): PageItem[] {
  const seen = new Set<OperationId>();
  const items: PageItem[] = [];
  let last = after;
  let unkeyed = 0;
  for (const record of records) {
    const operationId = keyOf(record);
    if (operationId === null) {
      const key = { operationId: last, moveIndex: UNKEYED_INDEX + unkeyed++ };
      items.push({ operationId: last, decoded: decodeRecord(record, account, key) });
      continue;
    }
    if (operationId <= after || seen.has(operationId)) continue;
    seen.add(operationId);
    items.push({ operationId, decoded: decodeRecord(record, account) });
    last = operationId;
    unkeyed = 0;
  }
  // The sort is stable: what has no id stays behind its predecessor.
  return items.sort((a, b) => (a.operationId < b.operationId ? -1 : a.operationId > b.operationId ? 1 : 0));
}
