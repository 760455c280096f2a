import { PURPOSES, type Purpose } from "../horizon/governor.js";
import type { RedisClient } from "../redis/client.js";
import { bucketFor, budgetKeys, numberOf } from "./budget.js";

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
