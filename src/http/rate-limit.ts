import type { Context } from "koa";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisClient } from "../redis/client.js";
import type { Caller } from "./caller.js";
import { Problem } from "./problem.js";

const WINDOW_SECONDS = 60;

export type RateLimits = {
  /** Requests per minute of one merchant, all its keys together. */
  readonly perMerchant: number;
  /** Requests per minute of one address without a key. */
  readonly perAddress: number;
};

/** Takes one request from the caller's allowance, and tells it in headers what is left. */
export type RateLimit = (context: Context, caller: Caller) => Promise<void>;

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
    const isMerchant = caller.kind === "merchant";
    // The admin is an operator with work to do.
    if (caller.kind === "admin") return;
    const limiting = isMerchant ? byMerchant : byAddress;
    try {
      tell(context, limiting.points, await limiting.consume(isMerchant ? caller.merchantId : context.ip));
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      tell(context, limiting.points, refused);
      throw new Problem("rate-limited", `At most ${limiting.points} requests per minute. Wait, then go on.`, {
        headers: { "Retry-After": String(Math.ceil(refused.msBeforeNext / 1000)) },
      });
    }
  };
}

/** After draft-ietf-httpapi-ratelimit-headers. */
function tell(context: Context, points: number, { remainingPoints, msBeforeNext }: RateLimiterRes): void {
  context.set("RateLimit-Policy", `"default";q=${points};w=${WINDOW_SECONDS}`);
  context.set("RateLimit", `"default";r=${remainingPoints};t=${Math.ceil(msBeforeNext / 1000)}`);
}
