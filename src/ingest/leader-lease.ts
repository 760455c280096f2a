import { v4 as uuidv4 } from "uuid";
import type { RedisClient } from "../redis/client.js";
import { type FeedName, leaderKey } from "../stream/stream-keys.js";

/** How long a dead leader keeps the others waiting. */
const LEASE_MS = 10_000;
const RENEW_EVERY_MS = 3_000;

/** Only the holder's own token renews or releases: a leader that was paused must not touch its successor's. */
const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * Runs `lead` if this process becomes the leader of the feed's ingest, until it returns or the
 * leadership is lost; then `signal` aborts.
 *
 * One leader saves Horizon requests; two do no harm, since appends are checked against the tail.
 * @param name shown to operators as the leader
 * @returns whether `lead` ran
 */
export async function withLeadership(
  redis: RedisClient,
  feed: FeedName,
  name: string,
  outer: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const key = leaderKey(feed);
  const token = `${name} ${uuidv4()}`;
  if ((await redis.set(key, token, "PX", LEASE_MS, "NX")) !== "OK") return false;
  const lost = new AbortController();
  let validUntil = performance.now() + LEASE_MS;
  const timer = setInterval(async () => {
    const askedAt = performance.now();
    const renewed = await redis.eval(RENEW, 1, key, token, LEASE_MS).catch(() => null);
    if (renewed === 1) validUntil = askedAt + LEASE_MS;
    // Not ours any more, or unknown for a whole lease: somebody else may lead by now.
    else if (renewed === 0 || performance.now() > validUntil) lost.abort(new Error("leadership lost"));
  }, RENEW_EVERY_MS);
  try {
    await lead(AbortSignal.any([outer, lost.signal]));
  } finally {
    clearInterval(timer);
    await redis.eval(RELEASE, 1, key, token).catch(() => undefined);
  }
  return true;
}
