import { toOperationId } from "../../../src/stellar/operation-id.js";
import type { Order, Range } from "../feed.js";
import type { View } from "../history.js";
import type { JsonObject } from "../json.js";
import { badRequest, beforeHistory } from "./problem.js";

const MAX_CURSOR = 2n ** 63n - 1n;
const MAX_LIMIT = 200;

/** A record with its `paging_token`. Made when it is written: with its transaction it can be 100 kB. */
export type Row = { readonly token: string; readonly record: () => JsonObject };

/** Records after a cursor; what pages and streams are both made of. */
export type Collection = {
  readonly read: (range: Range) => Row[];
  /** How a cursor reads; TOIDs unless the collection has its own form. */
  readonly parseCursor?: (text: string) => bigint | null;
};

export type PageQuery = { readonly cursor: string; readonly order: Order; readonly limit: number };

/** Reads cursor, order and limit. @throws Problem 400 as Horizon's actions.GetPageQuery */
export function pageQuery(params: URLSearchParams, lastEventId?: string): PageQuery {
  const order = params.get("order") || "asc";
  if (order !== "asc" && order !== "desc") {
    throw badRequest("order", "order: invalid value. Valid values are: asc, desc");
  }
  const text = params.get("limit") || "10";
  const limit = /^-?\d{1,18}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(limit)) throw badRequest("limit", "unparseable value");
  if (limit <= 0) throw badRequest("limit", "invalid limit: non-positive value provided");
  if (limit > MAX_LIMIT) {
    throw badRequest("limit", `invalid limit: value provided that is over limit max of ${MAX_LIMIT}`);
  }
  return { cursor: lastEventId || params.get("cursor") || "", order, limit };
}

/**
 * Places a query in what the view holds. An ascending cursor before retention is moved to the oldest ledger
 * without a word (Horizon's validateAndAdjustCursor): `floor` does that. A descending one is refused.
 * @throws Problem 400 for a cursor that is none, 410 before_history
 */
export function rangeOf(query: PageQuery, view: View, collection: Collection): Range {
  const bounds = {
    floor: toOperationId(view.elder, 0, 0) as bigint,
    ceiling: toOperationId(view.latest + 1, 0, 0) - 1n,
    order: query.order,
    limit: query.limit,
  };
  if (/^-\d{1,18}$/.test(query.cursor)) {
    throw badRequest("cursor", `the cursor ${query.cursor} is a negative number: `);
  }
  if (query.cursor === "now") return { ...bounds, cursor: bounds.ceiling };
  if (query.cursor === "") return { ...bounds, cursor: query.order === "asc" ? 0n : MAX_CURSOR };
  const cursor = (collection.parseCursor ?? parseToid)(query.cursor);
  if (cursor === null) throw badRequest("cursor", "cursor: invalid value");
  if (collection.parseCursor === undefined && query.order === "desc" && cursor < bounds.floor) {
    throw beforeHistory();
  }
  return { ...bounds, cursor };
}

function parseToid(text: string): bigint | null {
  return /^\d{1,19}$/.test(text) && BigInt(text) <= MAX_CURSOR ? BigInt(text) : null;
}

/**
 * Links of a page as Horizon's hal.Page builds them: the query as asked, cursor and order replaced, by name.
 * @param cursor where the page was asked from; what `now` meant
 */
export function pageLinks(rows: readonly Row[], cursor: string, query: PageQuery, url: URL): JsonObject {
  const href = (from: string, order: Order) => {
    const link = new URL(url);
    link.searchParams.set("cursor", from);
    link.searchParams.set("limit", query.limit.toString());
    link.searchParams.set("order", order);
    link.searchParams.sort();
    return { href: link.toString() };
  };
  const reverse = query.order === "asc" ? "desc" : "asc";
  return {
    self: href(cursor, query.order),
    next: href(rows.at(-1)?.token ?? cursor, query.order),
    prev: href(rows[0]?.token ?? cursor, reverse),
  };
}
