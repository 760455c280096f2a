import type { Redis } from "ioredis";
import { readPosition } from "../consumers/append-entries.js";
import type { RawEntry } from "../consumers/entry.js";
import { GROUP, leaderKey, streamKey } from "../consumers/stream-keys.js";
import type { AccountId } from "../stellar/credit.js";
import type { StreamStatus, WaitingEntry } from "./status.js";

/** What one account's stream, its group and its leader's lease tell. @throws when Redis can't be reached */
export async function readStream(redis: Redis, account: AccountId, now: Date): Promise<StreamStatus> {
  const key = streamKey(account);
  const [position, backlog, leader, pending, consumers] = await Promise.all([
    readPosition(redis, account),
    redis.xlen(key),
    redis.get(leaderKey(account)),
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
    oldest_pending: await oldestPending(redis, key, first, oldest, now),
    leader: leader?.split(" ")[0] ?? null,
    consumers: consumers.map((fields) => ({
      name: String(fields[fields.indexOf("name") + 1]),
      pending: Number(fields[fields.indexOf("pending") + 1]),
      idle_ms: Number(fields[fields.indexOf("idle") + 1]),
    })),
  };
}

async function oldestPending(
  redis: Redis,
  key: string,
  first: unknown,
  oldest: WaitingEntry | null,
  now: Date,
): Promise<WaitingEntry | null> {
  if (typeof first !== "string") return null;
  if (first === oldest?.id) return oldest;
  const [entry] = await redis.xrange(key, first, first);
  // Acknowledged between the two questions.
  return entry === undefined ? null : waiting(entry, now);
}

function waiting([id, fields]: RawEntry, now: Date): WaitingEntry {
  const raw = fields ?? [];
  // Fields and values take turns: a value that reads "closed_at" is none.
  let text: string | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === "closed_at") text = raw[i + 1];
  const closedAt = new Date(text ?? "");
  if (Number.isNaN(closedAt.getTime())) return { id, closed_at: null, age_seconds: null };
  return { id, closed_at: closedAt.toISOString(), age_seconds: ageSeconds(closedAt, now) };
}

/** Whole seconds; two clocks may disagree, and nothing is younger than now. */
export function ageSeconds(since: Date, now: Date): number {
  return Math.max(0, Math.round((now.getTime() - since.getTime()) / 1000));
}
