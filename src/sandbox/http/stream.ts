import type { ServerResponse } from "node:http";
import type { JsonObject } from "../json.js";
import type { Context } from "./context.js";
import { type Collection, type PageQuery, rangeOf } from "./paging.js";
import { problemOf } from "./problem.js";

/**
 * A collection as server-sent events (Horizon's render/sse): hello, each record under its paging token,
 * byebye after `limit` records or when the connection's time is over. No heartbeat: a stream with nothing to
 * say is silent.
 */
export function stream(context: Context, collection: Collection, query: PageQuery): void {
  const { network, response, faults } = context;
  const silent = faults.get("sse_silent");
  const broken = faults.get("sse_error");
  // The first look may still fail as an ordinary problem.
  let range = rangeOf({ ...query, order: "asc" }, context.view(), collection);
  let sent = 0;
  // Gone while a delay kept it waiting: its "close" is past, and nobody would ever end this stream.
  if (response.closed) return;
  open(response);

  const push = () => {
    const stop = Math.min(query.limit, silent?.after ?? query.limit, broken?.after ?? query.limit);
    const { floor, ceiling } = rangeOf({ ...query, order: "asc" }, context.view(), collection);
    const records = collection.read({ ...range, floor, ceiling, limit: stop - sent });
    for (const record of faults.disturb(records)) write(response, record);
    sent += records.length;
    range = { ...range, cursor: lastCursor(records, collection) ?? range.cursor };
    if (sent < stop) return;
    if (silent !== undefined && stop === silent.after) return;
    if (broken !== undefined && stop === broken.after) return fail(broken.status, broken.type);
    finish();
  };
  const stopListening = network.onLedger(push);
  // A stream that went dead is not cut either: only its client can find out.
  const cut = silent === undefined ? setTimeout(() => finish(), context.options.streamMs) : undefined;
  const end = () => {
    stopListening();
    clearTimeout(cut);
  };
  const finish = () => {
    end();
    response.end('retry: 10\nevent: close\ndata: "byebye"\n\n');
  };
  const fail = (status: number, type: string | undefined) => {
    end();
    const problem = problemOf(status, type).body();
    response.end(`event: error\ndata: ${JSON.stringify(problem)}\n\n`);
  };
  response.on("close", end);
  push();
}

function open(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  response.write('retry: 1000\nevent: open\ndata: "hello"\n\n');
}

function write(response: ServerResponse, record: JsonObject): void {
  response.write(`id: ${record.paging_token}\ndata: ${JSON.stringify(record)}\n\n`);
}

function lastCursor(records: readonly JsonObject[], collection: Collection): bigint | null {
  const token = records.at(-1)?.paging_token;
  if (typeof token !== "string") return null;
  return collection.parseCursor === undefined ? BigInt(token) : collection.parseCursor(token);
}
