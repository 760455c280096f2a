import { createHash } from "node:crypto";
import { PURPOSES, type Purpose } from "../horizon/http.js";
import type { RedisClient } from "../redis/client.js";

/** Horizon's burst, whatever the hourly limit is (internal/httpx: MaxBurst). */
const USUAL_BURST = 100;

/** Of what the server allows we use so much: clocks differ, and requests under way are not counted by it yet. */
const USED_PART = 0.95;
const BURST_PART = 0.85;

/**
 * Of the burst, what must be left after a request of each purpose: so what stands first finds room when the others find
 * none any more. The last request of all is kept for money in flight.
 */
const KEPT_FREE: Readonly<Record<Purpose, number>> = { submission: 0, feed: 0.1, check: 0.3, audit: 0.5 };

/** How long a request may wait for room, in milliseconds; then its caller hears that there is none. */
export const PATIENCE_MS: Readonly<Record<Purpose, number>> = {
  submission: 20_000,
  feed: 120_000,
  check: 30_000,
  audit: 600_000,
};

/** What one process may use while Redis can't say what the others do: ten of them fit into the server's limit. */
const PART_OF_ONE = 0.1;

/** A bucket that is refilled at a rate, and what each purpose must leave in it. */
export type Bucket = {
  readonly capacity: number;
  /** Requests for each millisecond. */
  readonly refill: number;
  readonly floors: Readonly<Record<Purpose, number>>;
};

/**
 * The bucket for a limit. Pure.
 * @param perHour what the server allows an address in an hour
 * @param burst what it allows at once
 */
export function bucketFor(perHour: number, burst: number = USUAL_BURST): Bucket {
  const capacity = Math.max(1, Math.floor(burst * BURST_PART));
  return {
    capacity,
    refill: (perHour * USED_PART) / 3_600_000,
    floors: Object.fromEntries(
      PURPOSES.map((purpose) => [purpose, Math.floor(capacity * KEPT_FREE[purpose])]),
    ) as Record<Purpose, number>,
  };
}

/** The part of a bucket that one process keeps to while it can't ask how much the others have taken. Pure. */
export function partOf(bucket: Bucket): Bucket {
  return {
    capacity: Math.max(1, Math.floor(bucket.capacity * PART_OF_ONE)),
    refill: bucket.refill * PART_OF_ONE,
    floors: { submission: 0, feed: 0, check: 0, audit: 0 },
  };
}

/** Seconds of what is counted together, so that the use of an hour is some sums. */
const COUNTED_SECONDS = 300;
export const COUNTED_FOR_SECONDS = 3_600 + 2 * COUNTED_SECONDS;

/** Keys of one server's budget. One hash tag: a script touches two of them. */
export function budgetKeys(url: string) {
  const server = createHash("sha256").update(url.replace(/\/+$/, "")).digest("hex").slice(0, 12);
  const tag = `paidonce:{horizon:${server}}`;
  return {
    state: `${tag}:budget`,
    claim: `${tag}:look`,
    channel: `${tag}:ledgers`,
    used: (at: Date) => `${tag}:used:${Math.floor(at.getTime() / 1000 / COUNTED_SECONDS)}`,
    /** All of the last hour. */
    usedKeys: (now: Date) => {
      const last = Math.floor(now.getTime() / 1000 / COUNTED_SECONDS);
      return Array.from({ length: 3_600 / COUNTED_SECONDS }, (_, back) => `${tag}:used:${last - back}`);
    },
  };
}

/** A whole number that Redis or a header holds; null for anything else. */
export function numberOf(text: string | null | undefined): number | null {
  return text !== null && text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** The rest of a budget, and its use in the last hour. */
export type BudgetUse = {
  readonly perHour: number;
  /** Requests that may be made at once now; null while nobody has asked for any. */
  readonly left: number | null;
  readonly usedLastHour: number;
  readonly used: Readonly<Record<Purpose, number>>;
  /** Whether the server has refused for its limit within the last minute. */
  readonly isRefused: boolean;
};

/** KEYS: the bucket. @returns tokens, ms since they were counted, ms since the last refusal */
const READ = `
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  local s = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'limited_at', 'capacity')
  return {s[1] or '', tostring(now - (tonumber(s[2]) or now)), tostring(now - (tonumber(s[3]) or 0)), s[4] or ''}`;

/** Reads a server's budget, for status and metrics. @throws what Redis says */
export async function readBudget(redis: RedisClient, url: string, perHour: number): Promise<BudgetUse> {
  const keys = budgetKeys(url);
  const [[tokens, age, refusedAgo, stored], ...counts] = await Promise.all([
    redis.eval(READ, 1, keys.state) as Promise<[string, string, string, string]>,
    ...keys.usedKeys(new Date()).map((key) => redis.hgetall(key)),
  ]);
  const used = Object.fromEntries(
    PURPOSES.map((purpose) => [
      purpose,
      counts.reduce((sum, count) => sum + (numberOf(count[purpose]) ?? 0), 0),
    ]),
  ) as Record<Purpose, number>;
  const { capacity, refill } = bucketFor(perHour);
  const most = Math.min(capacity, numberOf(stored) ?? capacity);
  const level = Number(tokens) + Number(age) * refill;
  return {
    perHour,
    left: tokens === "" || !Number.isFinite(level) ? null : Math.max(0, Math.floor(Math.min(most, level))),
    usedLastHour: PURPOSES.reduce((sum, purpose) => sum + used[purpose], 0),
    used,
    isRefused: Number(refusedAgo) < 60_000,
  };
}
