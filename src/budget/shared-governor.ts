import type { Logger } from "pino";
import { sleep, within } from "../backoff.js";
import { HorizonError, retryAfterOf } from "../horizon/errors.js";
import { type Governor, type Purpose, UNLIMITED } from "../horizon/http.js";
import type { RedisClient } from "../redis/client.js";
import {
  type Bucket,
  bucketFor,
  budgetKeys,
  COUNTED_FOR_SECONDS,
  numberOf,
  PATIENCE_MS,
  partOf,
} from "./budget.js";

export type SharedGovernorOptions = {
  /** Null where a command has none: it keeps to the part of one process. */
  readonly redis: RedisClient | null;
  /** Of the server, as for HorizonClient. */
  readonly url: string;
  /** Requests that the server allows in an hour; 0 where it has no limit. */
  readonly perHour: number;
  readonly logger: Logger;
  /** How long a request of each purpose waits for room, in milliseconds; PATIENCE_MS by default. */
  readonly patienceMs?: Readonly<Record<Purpose, number>>;
};

/** Redis is near: without an answer within this it counts as away, and no request waits for it. */
const REDIS_ANSWERS_WITHIN_MS = 300;

/** While Redis is away it is asked again after this, not for every request. */
const ASK_REDIS_AGAIN_MS = 2_000;

/** The longest that a 429 makes everybody wait, in milliseconds: a proxy's slip must not stop ingest for hours. */
const MAX_HOLD_MS = 60_000;

/**
 * KEYS: the bucket, what was used in these minutes; ARGV: refill for each ms, capacity, floor, purpose, seconds to keep.
 * By Redis' own clock: those of several machines differ. What can't be (a time to come, no number) begins anew, half full.
 * @returns granted, ms to wait, tokens left
 */
const TAKE = `
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  local refill, capacity, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'hold', 'capacity')
  local tokens, at, hold = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3]) or 0
  if tonumber(stored[4]) and tonumber(stored[4]) < capacity then capacity = tonumber(stored[4]) end
  if not tokens or not at or at > now or tokens ~= tokens then tokens, at = capacity / 2, now end
  tokens = math.min(capacity, tokens + (now - at) * refill)
  local granted, wait = 0, 0
  if hold > now and hold - now <= ${MAX_HOLD_MS} then wait = hold - now
  elseif tokens - 1 >= math.min(floor, capacity - 1) then granted, tokens = 1, tokens - 1
  else wait = math.ceil((math.min(floor, capacity - 1) + 1 - tokens) / refill) end
  redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
  redis.call('PEXPIRE', KEYS[1], 3600000)
  if granted == 1 then
    redis.call('HINCRBY', KEYS[2], ARGV[4], 1)
    redis.call('EXPIRE', KEYS[2], ARGV[5])
  end
  return {granted, wait, math.floor(tokens)}`;

/** KEYS: the bucket; ARGV: at most so many tokens, ms to hold, capacity or nothing. What the server says is less than we thought. */
const CORRECT = `
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens'))
  if not tokens or tokens > tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'tokens', ARGV[1], 'at', now) end
  if tonumber(ARGV[2]) > 0 then redis.call('HSET', KEYS[1], 'hold', now + ARGV[2], 'limited_at', now) end
  if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'capacity', ARGV[3]) end
  redis.call('PEXPIRE', KEYS[1], 3600000)
  return 1`;

/** The governor of one server, shared through Redis by all processes that ask it. */
export function sharedGovernor(options: SharedGovernorOptions): Governor {
  return options.perHour === 0 ? UNLIMITED : new SharedGovernor(options);
}

type Answer = { readonly granted: boolean; readonly waitMs: number };

class SharedGovernor implements Governor {
  readonly #redis: RedisClient | null;
  readonly #logger: Logger;
  readonly #keys: ReturnType<typeof budgetKeys>;
  readonly #perHour: number;
  readonly #patience: Readonly<Record<Purpose, number>>;
  #bucket: Bucket;
  #alone: LocalBucket;
  #redisAwayUntil = 0;
  #isAlone = false;
  /** As of the last answer of Redis: shows whether what the server says is new. */
  #tokens = Number.POSITIVE_INFINITY;
  /** The last in line of each purpose: who came first is served first. */
  readonly #lines = new Map<Purpose, Promise<unknown>>();

  constructor({ redis, url, perHour, logger, patienceMs = PATIENCE_MS }: SharedGovernorOptions) {
    this.#patience = patienceMs;
    this.#redis = redis;
    this.#logger = logger;
    this.#keys = budgetKeys(url);
    this.#perHour = perHour;
    this.#bucket = bucketFor(perHour);
    this.#alone = new LocalBucket(partOf(this.#bucket));
  }

  get isScarce(): boolean {
    return this.#isAlone || this.#tokens <= this.#bucket.floors.check + 1;
  }

  async admit(purpose: Purpose, signal: AbortSignal): Promise<void> {
    const until = performance.now() + this.#patience[purpose];
    const before = this.#lines.get(purpose) ?? Promise.resolve();
    const mine = before.then(() => this.#untilGranted(purpose, until, signal));
    this.#lines.set(
      purpose,
      mine.catch(() => undefined),
    );
    await mine;
  }

  noteAnswer(status: number, headers: Headers): void {
    const isRefusal = status === 429;
    const remaining = numberOf(headers.get("x-ratelimit-remaining"));
    const capacity = this.#capacityBy(numberOf(headers.get("x-ratelimit-limit")));
    const holdMs = isRefusal ? Math.min(retryAfterOf(headers) ?? 1_000, MAX_HOLD_MS) : 0;
    const left = isRefusal ? 0 : (remaining ?? Number.POSITIVE_INFINITY);
    if (holdMs === 0 && capacity === null && left >= this.#tokens) return;
    this.#tokens = Math.min(this.#tokens, left);
    this.#alone.correct(left, holdMs);
    if (this.#redis === null || !Number.isFinite(left)) return;
    const args = [Math.max(0, left), holdMs, capacity ?? ""];
    void this.#redis.eval(CORRECT, 1, this.#keys.state, ...args).catch(() => undefined);
  }

  /** The burst that the server names, where it is another than we thought. */
  #capacityBy(limit: number | null): number | null {
    if (limit === null || limit < 2) return null;
    const bucket = bucketFor(this.#perHour, limit - 1);
    if (bucket.capacity === this.#bucket.capacity) return null;
    this.#bucket = bucket;
    this.#alone = new LocalBucket(partOf(bucket));
    return bucket.capacity;
  }

  async #untilGranted(purpose: Purpose, until: number, signal: AbortSignal): Promise<void> {
    const { floors } = this.#bucket;
    const last = floors[purpose] > floors.feed ? Math.max(0, floors.feed - 1) : floors[purpose];
    for (;;) {
      signal.throwIfAborted();
      const floor = this.#floorOf(purpose, last, until - performance.now());
      const { granted, waitMs } = await this.#take(floor, purpose);
      if (granted) return;
      const leftMs = until - performance.now();
      if (waitMs - (floor - last) / this.#bucket.refill > leftMs) {
        const message = `no room for a request (${purpose}) within ${this.#patience[purpose] / 1000} s of the budget of ${this.#perHour} an hour`;
        throw new HorizonError("limited", `${message}: see HORIZON_REQUESTS_PER_HOUR`, {
          retryAfterMs: waitMs,
        });
      }
      // Not all of a long wait: the floor falls meanwhile.
      await sleep(Math.min(waitMs, Math.max(leftMs / 4, 50)), signal);
    }
  }

  /**
   * What a request must leave that may still wait for so long: less and less, down to one less than feeds leave. Feeds that
   * take all that comes in would keep the others out for ever.
   */
  #floorOf(purpose: Purpose, last: number, leftMs: number): number {
    const part = Math.min(Math.max(leftMs / this.#patience[purpose], 0), 1);
    return Math.floor(last + (this.#bucket.floors[purpose] - last) * part);
  }

  async #take(floor: number, purpose: Purpose): Promise<Answer> {
    if (this.#redis === null || performance.now() < this.#redisAwayUntil) return this.#alone.take();
    const { refill, capacity } = this.#bucket;
    const args = [refill, capacity, floor, purpose, COUNTED_FOR_SECONDS];
    const keys = [this.#keys.state, this.#keys.used(new Date())];
    const asked = this.#redis.eval(TAKE, 2, ...keys, ...args).catch(() => null);
    const answer = (await within(REDIS_ANSWERS_WITHIN_MS, asked, null)) as [number, number, number] | null;
    if (answer === null) {
      this.#redisAwayUntil = performance.now() + ASK_REDIS_AGAIN_MS;
      if (!this.#isAlone)
        this.#logger.warn("the shared budget of requests can't be asked: this process keeps to a part of it");
      this.#isAlone = true;
      return this.#alone.take();
    }
    this.#isAlone = false;
    const [granted, waitMs, tokens] = answer;
    this.#tokens = tokens;
    return { granted: granted === 1, waitMs };
  }
}

/** A bucket in memory. */
class LocalBucket {
  readonly #bucket: Bucket;
  #tokens: number;
  #at = performance.now();
  #heldUntil = 0;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
    this.#tokens = bucket.capacity;
  }

  take(): Answer {
    const now = performance.now();
    this.#tokens = Math.min(this.#bucket.capacity, this.#tokens + (now - this.#at) * this.#bucket.refill);
    this.#at = now;
    if (now < this.#heldUntil) return { granted: false, waitMs: this.#heldUntil - now };
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return { granted: true, waitMs: 0 };
    }
    return { granted: false, waitMs: Math.ceil((1 - this.#tokens) / this.#bucket.refill) };
  }

  correct(left: number, holdMs: number): void {
    this.#tokens = Math.min(this.#tokens, left);
    if (holdMs > 0) this.#heldUntil = performance.now() + holdMs;
  }
}
