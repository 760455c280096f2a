import type { StreamCursor } from "../entities/stream-cursor.js";
import type { RedisClient } from "../redis/client.js";
import { compareKeys } from "../stellar/credit.js";
import { readPosition } from "../stream/append-entries.js";
import { closeTimeOf, parseEntryId, type RawEntry } from "../stream/entry.js";
import { type FeedName, GROUP, leaderKey, type StreamName, streamKey } from "../stream/stream-keys.js";
import { streamsOf } from "../stream/streams.js";
import type { StreamStatus, WaitingEntry } from "./status.js";

/** What an account's streams, their groups and its leader's lease tell. @throws when Redis can't be reached */
export async function readStreams(
  redis: RedisClient,
  { account, shards }: Pick<StreamCursor, "account" | "shards">,
  now: Date,
): Promise<StreamStatus> {
  return readFeed(redis, account, streamsOf(account, shards), now);
}

/** The same of any feed. @throws when Redis can't be reached */
export async function readFeed(
  redis: RedisClient,
  feed: FeedName,
  names: readonly StreamName[],
  now: Date,
): Promise<StreamStatus> {
  const [leader, ...streams] = await Promise.all([
    redis.get(leaderKey(feed)),
    ...names.map((stream) => readStream(redis, stream, now)),
  ]);
  return { ...merge(streams), leader: leader?.split(" ")[0] ?? null };
}

/** Of several streams as of one: what waits is added up, and as far as each has come all have. */
function merge(streams: readonly OneStream[]): OneStream {
  return streams.reduce((a, b) => {
    const oldest = older(a.oldest, b.oldest);
    return {
      tail: compareTails(a.tail, b.tail) <= 0 ? a.tail : b.tail,
      backlog: a.backlog + b.backlog,
      oldest_entry: oldest?.id ?? null,
      oldest,
      pending: a.pending + b.pending,
      oldest_pending: older(a.oldest_pending, b.oldest_pending),
      consumers: mergeConsumers(a.consumers, b.consumers),
    };
  });
}

/** Ids of entries grow with the network's time. */
function older(a: WaitingEntry | null, b: WaitingEntry | null): WaitingEntry | null {
  if (a === null || b === null) return a ?? b;
  return compareTails(a.id, b.id) <= 0 ? a : b;
}

function compareTails(a: string, b: string): number {
  return compareKeys(parseEntryId(a), parseEntryId(b));
}

function mergeConsumers(a: Consumers, b: Consumers): Consumers {
  const byName = Map.groupBy([...a, ...b], ({ name }) => name);
  return [...byName].map(([name, each]) => ({
    name,
    pending: each.reduce((sum, { pending }) => sum + pending, 0),
    idle_ms: Math.min(...each.map(({ idle_ms }) => idle_ms)),
  }));
}

type Consumers = StreamStatus["consumers"];

type OneStream = Omit<StreamStatus, "leader">;

async function readStream(redis: RedisClient, stream: StreamName, now: Date): Promise<OneStream> {
  const key = streamKey(stream);
  const [position, backlog, pending, consumers] = await Promise.all([
    readPosition(redis, stream),
    redis.xlen(key),
    // No group yet, or no stream: nothing is pending and nobody reads.
    redis.xpending(key, GROUP).catch(() => [0]) as Promise<unknown[]>,
    redis.xinfo("CONSUMERS", key, GROUP).catch(() => []) as Promise<unknown[][]>,
  ]);
  const [count, first] = pending;
  const oldest = position.oldest === null ? null : waiting(position.oldest, now);
  return {
    tail: position.tail,
    backlog,
    oldest_entry: oldest?.id ?? null,
    oldest,
    pending: Number(count),
    oldest_pending: await oldestPending(redis, stream, first, oldest, now),
    consumers: consumers.map((fields) => ({
      name: String(fields[fields.indexOf("name") + 1]),
      pending: Number(fields[fields.indexOf("pending") + 1]),
      idle_ms: Number(fields[fields.indexOf("idle") + 1]),
    })),
  };
}

async function oldestPending(
  redis: RedisClient,
  stream: StreamName,
  first: unknown,
  oldest: WaitingEntry | null,
  now: Date,
): Promise<WaitingEntry | null> {
  if (typeof first !== "string") return null;
  if (first === oldest?.id) return oldest;
  const [entry] = await redis.xrange(streamKey(stream), first, first);
  // Acknowledged between the two questions.
  return entry === undefined ? null : waiting({ stream, id: first, fields: entry[1] }, now);
}

function waiting(entry: RawEntry, now: Date): WaitingEntry {
  const closedAt = closeTimeOf(entry);
  if (closedAt === null) return { id: entry.id, closed_at: null, age_seconds: null };
  return { id: entry.id, closed_at: closedAt.toISOString(), age_seconds: ageSeconds(closedAt, now) };
}

/** Whole seconds; two clocks may disagree, and nothing is younger than now. */
export function ageSeconds(since: Date, now: Date): number {
  return Math.max(0, Math.round((now.getTime() - since.getTime()) / 1000));
}
