import type { RedisClient } from "../redis/client.js";
import type { EntryRef, RawEntry } from "./entry.js";
import { GROUP, type StreamName, streamKey } from "./stream-keys.js";

/** A claimed entry. `deliveries` says whether it is poison: how often it has been delivered so far. */
export type ClaimedEntry = RawEntry & { readonly deliveries: number };

/** An entry as ioredis returns it. */
type Reply = [id: string, fields: string[] | null];

const rawEntry = (stream: StreamName, [id, fields]: Reply): RawEntry => ({ stream, id, fields });

/**
 * Makes sure that the group exists. From 0: a group made after a Redis restart must see what ingest has
 * already put back, and reading a settled credit again costs nothing.
 */
export async function ensureGroup(redis: RedisClient, stream: StreamName): Promise<void> {
  try {
    await redis.xgroup("CREATE", streamKey(stream), GROUP, "0", "MKSTREAM");
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("BUSYGROUP"))) throw error;
  }
}

export function isNoGroupError(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOGROUP");
}

/** Whether the key of a stream holds something else: Redis then answers no command that names it among others. */
export function isNoStreamError(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("WRONGTYPE");
}

/**
 * Waits for new entries of any of the streams, at most `blockMs`, and takes up to `count` of each.
 * @throws the NOGROUP error where one of the groups is gone, see `isNoGroupError`
 */
export async function readNew(
  redis: RedisClient,
  consumer: string,
  streams: readonly StreamName[],
  count: number,
  blockMs: number,
): Promise<RawEntry[]> {
  const streamOf = new Map(streams.map((stream) => [streamKey(stream), stream]));
  const keys = [...streamOf.keys()];
  const reply = (await redis.xreadgroup(
    "GROUP",
    GROUP,
    consumer,
    "COUNT",
    count,
    "BLOCK",
    blockMs,
    "STREAMS",
    ...keys,
    ...keys.map(() => ">"),
  )) as [string, Reply[]][] | null;
  return (reply ?? []).flatMap(([key, entries]) => {
    const stream = streamOf.get(key);
    return stream === undefined ? [] : entries.map((entry) => rawEntry(stream, entry));
  });
}

/**
 * Takes over entries that nobody has acknowledged for `minIdleMs`: their consumer died, or is stuck. A
 * pending entry is never redelivered by itself; without this it would wait for ever.
 */
export async function claimIdle(
  redis: RedisClient,
  consumer: string,
  stream: StreamName,
  minIdleMs: number,
  count: number,
): Promise<ClaimedEntry[]> {
  const key = streamKey(stream);
  const [, claimed] = (await redis.xautoclaim(key, GROUP, consumer, minIdleMs, "0-0", "COUNT", count)) as [
    string,
    Reply[],
  ];
  const [first] = claimed;
  const last = claimed.at(-1);
  if (first === undefined || last === undefined) return [];
  const pending = (await redis.xpending(key, GROUP, first[0], last[0], count * 4, consumer)) as [
    string,
    string,
    number,
    number,
  ][];
  const deliveries = new Map(pending.map(([id, , , times]) => [id, times]));
  return claimed.map((entry) => ({
    ...rawEntry(stream, entry),
    deliveries: deliveries.get(entry[0]) ?? 1,
  }));
}

/**
 * Acknowledges and deletes in one step. Deleted without acknowledgement would be pending for ever;
 * acknowledged without deletion would hold back the watermark for ever. The streams are asked at the same time.
 */
export async function acknowledge(redis: RedisClient, entries: readonly EntryRef[]): Promise<void> {
  await Promise.all(
    [...idsByStream(entries)].map(async ([stream, ids]) => {
      const key = streamKey(stream);
      const results = await redis
        .multi()
        .xack(key, GROUP, ...ids)
        .xdel(key, ...ids)
        .exec();
      for (const [error] of results ?? []) if (error !== null && !isNoGroupError(error)) throw error;
    }),
  );
}

/** A name goes only when it holds nothing: removing it would drop its pending entries in silence. */
const REMOVE_IDLE_CONSUMER = `
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
  if #pending > 0 then return 0 end
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  return 1`;

/** Removes a consumer's name from the group if nothing is pending under it. */
export async function removeConsumer(
  redis: RedisClient,
  stream: StreamName,
  consumer: string,
): Promise<boolean> {
  try {
    return (await redis.eval(REMOVE_IDLE_CONSUMER, 1, streamKey(stream), GROUP, consumer)) === 1;
  } catch (error) {
    if (isNoGroupError(error) || String(error).includes("no such key")) return false;
    throw error;
  }
}

/** Names in the group that hold nothing and have been silent for `idleMs`. */
export async function idleConsumers(
  redis: RedisClient,
  stream: StreamName,
  idleMs: number,
): Promise<string[]> {
  const rows = (await redis.xinfo("CONSUMERS", streamKey(stream), GROUP).catch((error: unknown) => {
    if (isNoGroupError(error) || String(error).includes("no such key")) return [];
    throw error;
  })) as unknown[][];
  return rows
    .map((row) => new Map(row.flatMap((_, i) => (i % 2 === 0 ? [[row[i], row[i + 1]] as const] : []))))
    .filter((fields) => Number(fields.get("pending")) === 0 && Number(fields.get("idle")) > idleMs)
    .map((fields) => String(fields.get("name")));
}

/** Ids of entries that nobody has touched for `idleMs`, those delivered too often left out; takes none over. */
export async function listAbandoned(
  redis: RedisClient,
  stream: StreamName,
  { idleMs, maxDeliveries, count }: { idleMs: number; maxDeliveries: number; count: number },
): Promise<string[]> {
  const rows = await redis.xpending(streamKey(stream), GROUP, "IDLE", idleMs, "-", "+", count);
  return (rows as [id: string, consumer: string, idle: number, deliveries: number][])
    .filter(([, , , deliveries]) => deliveries <= maxDeliveries)
    .map(([id]) => id);
}

/**
 * Takes over entries that are still idle. It does not count as a delivery: a caller that can't settle them now must not
 * bring them nearer to the dead letters.
 */
export async function takeOver(
  redis: RedisClient,
  consumer: string,
  stream: StreamName,
  ids: readonly string[],
  idleMs: number,
): Promise<RawEntry[]> {
  if (ids.length === 0) return [];
  const key = streamKey(stream);
  const taken = await redis.call("XCLAIM", key, GROUP, consumer, idleMs, ...ids, "JUSTID");
  const pipeline = redis.pipeline();
  for (const id of taken as string[]) pipeline.xrange(key, id, id);
  const found = (await pipeline.exec()) ?? [];
  return found.flatMap(([error, entries]) => {
    if (error !== null) throw error;
    return (entries as Reply[]).map((entry) => rawEntry(stream, entry));
  });
}

/**
 * The oldest entry must be pending or still ahead of the group. If it is neither (someone acknowledged it by
 * hand, or a failover lost the pending list), no consumer would ever see it again, and the watermark would
 * stand still: set the group back before it.
 */
const RECOVER_ORPHAN = `
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
  if #first == 0 then return false end
  local id = first[1][1]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then return false end
  local delivered = '0-0'
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    if fields['name'] == ARGV[1] then delivered = fields['last-delivered-id'] end
  end
  local function halves(text)
    local ms, seq = string.match(text, '(%d+)-(%d+)')
    return string.format('%20s', ms), string.format('%20s', seq)
  end
  local firstMs, firstSeq = halves(id)
  local lastMs, lastSeq = halves(delivered)
  if firstMs > lastMs or (firstMs == lastMs and firstSeq > lastSeq) then return false end
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '0')
  return id`;

/** @returns the id of the orphaned entry that the group was set back for, or null */
export async function recoverOrphan(redis: RedisClient, stream: StreamName): Promise<string | null> {
  return (await redis.eval(RECOVER_ORPHAN, 1, streamKey(stream), GROUP)) as string | null;
}

/** Resets the idle time of entries that this consumer still works on. JUSTID: it does not count as a delivery. */
export async function holdOn(
  redis: RedisClient,
  consumer: string,
  entries: readonly EntryRef[],
): Promise<void> {
  const holding = [...idsByStream(entries)].map(([stream, ids]) =>
    redis.call("XCLAIM", streamKey(stream), GROUP, consumer, "0", ...ids, "JUSTID"),
  );
  // Each tried whatever becomes of the others: what is not held on to is claimed by somebody else.
  const failed = (await Promise.allSettled(holding)).find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

function idsByStream(entries: readonly EntryRef[]): Map<StreamName, string[]> {
  const byStream = Map.groupBy(entries, ({ stream }) => stream);
  return new Map([...byStream].map(([stream, group]) => [stream, group.map(({ id }) => id)]));
}
