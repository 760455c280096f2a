import type { IncomingMessage } from "node:http";
import ipaddr from "ipaddr.js";
import type { Context, Next } from "koa";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisClient } from "../../redis/client.js";
import type { Caller } from "./caller.js";
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

/** The proxies in front whose word is taken: so many in a row, or those in these networks (CIDR). */
export type TrustedProxies = number | readonly string[];

/**
 * Makes `context.ip` the address of whoever asks. What stands in `X-Forwarded-For` before the first proxy of ours was
 * written by the caller, and is no address: each proxy adds what it has seen at the right end, so it is read from there.
 */
export function clientAddress(trusted: TrustedProxies) {
  return (context: Context, next: Next): Promise<void> => {
    context.request.ip = clientAddressOf(context.req, trusted);
    return next();
  };
}

function clientAddressOf(request: IncomingMessage, trusted: TrustedProxies): string {
  const peer = plainAddress(request.socket.remoteAddress ?? "") ?? "";
  if (trusted === 0) return peer;
  const forwarded = [request.headers["x-forwarded-for"] ?? []].flat().join(",");
  const said = forwarded === "" ? [] : forwarded.split(",").reverse();
  let address = peer;
  for (const [hop, text] of said.entries()) {
    if (typeof trusted === "number" ? hop >= trusted : !isIn(address, trusted)) break;
    const next = plainAddress(text.trim());
    // No proxy of ours writes this: whoever it stands for, the proxy itself is who we know.
    if (next === null) break;
    address = next;
  }
  return address;
}

/**
 * What limits count by. An address of IPv6 costs nothing: whoever has one has 2^64 of them, all in one /64.
 * @param address as `context.ip`
 */
export function countedAs(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  const parts = ipaddr.IPv6.parse(address).parts.slice(0, 4);
  return `${parts.map((part) => part.toString(16)).join(":")}::/64`;
}

/** @returns null for what is no address; some proxies write its port beside it */
function plainAddress(text: string): string | null {
  const [, bracketed, dotted] = /^\[([^\]]*)\](?::\d+)?$|^(\d+(?:\.\d+){3}):\d+$/.exec(text) ?? [];
  const bare = (bracketed ?? dotted ?? text).replace(/%.*$/, "");
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return null;
  // An IPv4 address in IPv6's clothes (::ffff:…) is the same caller as without.
  return ipaddr.process(bare).toString();
}

function isIn(address: string, networks: readonly string[]): boolean {
  if (address === "") return false;
  const parsed = ipaddr.parse(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}
