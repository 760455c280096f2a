import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Context } from "./context.js";
import { type Collection, type PageQuery, type Row, rangeOf } from "./paging.js";
import { problemOf } from "./problem.js";

/**
 * A collection as server-sent events (Horizon's render/sse): hello, each record under its paging token,
 * byebye after `limit` records or when the connection's time is over. Records come when the server looks, every
 * `lookMs`, and each look counts against the client's rate limit. No heartbeat: a stream with nothing to say is silent.
 */
export function stream(context: Context, collection: Collection, query: PageQuery): void {
  const { response, faults, options } = context;
  const silent = faults.get("sse_silent");
  const broken = faults.get("sse_error");
  // The first look may still fail as an ordinary problem.
  let range = rangeOf({ ...query, order: "asc" }, context.view(), collection);
  let sent = 0;
  // Gone while a delay kept it waiting: its "close" is past, and nobody would ever end this stream.
  if (response.closed) return;
  open(response);

  const ended = new AbortController();
  let isWriting = false;
  const look = async () => {
    // A client that reads slowly is still at the last look's records.
    if (isWriting) return;
    const allowance = options.limit.take(context.client);
    if (allowance !== null && !allowance.allowed) return fail(429, undefined);
    const stop = Math.min(query.limit, silent?.after ?? query.limit, broken?.after ?? query.limit);
    const { floor, ceiling } = rangeOf({ ...query, order: "asc" }, context.view(), collection);
    const rows = collection.read({ ...range, floor, ceiling, limit: stop - sent });
    sent += rows.length;
    range = { ...range, cursor: lastCursor(rows, collection) ?? range.cursor };
    isWriting = true;
    await write(response, faults.disturb(rows), ended.signal);
    isWriting = false;
    if (ended.signal.aborted || sent < stop) return;
    if (silent !== undefined && stop === silent.after) return;
    if (broken !== undefined && stop === broken.after) return fail(broken.status, broken.type);
    finish();
  };
  const lookOrLeave = () => {
    look().catch(() => response.destroy());
  };
  const looking = setInterval(lookOrLeave, options.lookMs);
  // A stream that went dead is not cut either: only its client can find out.
  const cut = silent === undefined ? setTimeout(() => finish(), options.streamMs) : undefined;
  const end = () => {
    clearInterval(looking);
    clearTimeout(cut);
    ended.abort();
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
  lookOrLeave();
}

function open(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/event-stream", Vary: "Origin" });
  response.write('retry: 1000\nevent: open\ndata: "hello"\n\n');
}

/** As fast as the client takes them, and others have their turn: a record with its transaction can be 100 kB. */
async function write(response: ServerResponse, rows: readonly Row[], ended: AbortSignal): Promise<void> {
  for (const { token, record } of rows) {
    if (ended.aborted) return;
    const isTaken = response.write(`id: ${token}\ndata: ${JSON.stringify(record())}\n\n`);
    if (isTaken) continue;
    // Never, where the stream has ended meanwhile: the loop finds that out itself.
    await once(response, "drain", { signal: ended }).catch(() => undefined);
    await nextTurn();
  }
}

function lastCursor(rows: readonly Row[], collection: Collection): bigint | null {
  const token = rows.at(-1)?.token;
  if (token === undefined) return null;
  return collection.parseCursor === undefined ? BigInt(token) : collection.parseCursor(token);
}
