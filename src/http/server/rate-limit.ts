import type { Context } from "koa";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisClient } from "../../redis/client.js";
import type { Caller } from "./caller.js";
import { countedAs } from "./client-address.js";
import { Problem } from "./problem.js";

const WINDOW_SECONDS = 60;

export type RateLimits = {
  /** Requests per minute of one merchant, all its keys together. */
  readonly perMerchant: number;
  /** Requests per minute of one address without a key. */
  readonly perAddress: number;
};

/**
 * Takes one request from the caller's allowance, and tells it in headers what is left.
 * @returns gives the request back, for whoever turns out to be somebody that is not held to a limit
 */
export type RateLimit = (context: Context, caller: Caller) => Promise<() => Promise<void>>;

/** Takes one request from the allowance of the caller's address. */
export type AddressLimit = (context: Context) => Promise<void>;

type Limiter = RateLimiterRedis | RateLimiterMemory;

/**
 * Counts in Redis, so that all replicas count together; while Redis is away each counts for itself: a limit
 * protects us, and must not be a reason to answer nobody.
 * @returns a check that throws Problem `rate-limited`
 */
export function rateLimit(redis: RedisClient, limits: RateLimits): RateLimit {
  const limiter = (name: string, points: number) =>
    new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: `paidonce:rate:${name}`,
      points,
      duration: WINDOW_SECONDS,
      insuranceLimiter: new RateLimiterMemory({ points, duration: WINDOW_SECONDS }),
    });
  const byMerchant = limiter("merchant", limits.perMerchant);
  const byAddress = limiter("address", limits.perAddress);
  return async (context, caller) => {
    // The admin is an operator with work to do.
    if (caller.kind === "admin") return async () => undefined;
    const isMerchant = caller.kind === "merchant";
    const limiting = isMerchant ? byMerchant : byAddress;
    const name = isMerchant ? caller.merchantId : countedAs(context.ip);
    await take(context, limiting, name);
    return async () => {
      await limiting.reward(name);
    };
  };
}

/**
 * For what has no key and no route of the API: metrics, the status, preflights, paths that are not there. Each replica
 * counts for itself, in memory: metrics and status are needed most while Redis is away.
 * @returns a check that throws Problem `rate-limited`
 */
export function addressLimit({ perAddress: points }: RateLimits): AddressLimit {
  const limiting = new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
  return (context) => take(context, limiting, countedAs(context.ip));
}

async function take(context: Context, limiting: Limiter, name: string): Promise<void> {
  try {
    tell(context, limiting.points, await limiting.consume(name));
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    tell(context, limiting.points, refused);
    throw new Problem("rate-limited", `At most ${limiting.points} requests per minute. Wait, then go on.`, {
      headers: { "Retry-After": String(Math.ceil(refused.msBeforeNext / 1000)) },
    });
  }
}

/** After draft-ietf-httpapi-ratelimit-headers. */
function tell(context: Context, points: number, { remainingPoints, msBeforeNext }: RateLimiterRes): void {
  context.set("RateLimit-Policy", `"default";q=${points};w=${WINDOW_SECONDS}`);
  context.set("RateLimit", `"default";r=${remainingPoints};t=${Math.ceil(msBeforeNext / 1000)}`);
}
