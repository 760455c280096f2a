import type { IncomingMessage } from "node:http";

export type RateLimitOptions = {
  /** Requests that a client has an hour, each given back evenly; 0 is no limit. */
  readonly requestsPerHour: number;
  /** How many more than one request a client may send at once. */
  readonly burst: number;
};

/** What one request left of its client's limit. */
export type Allowance = {
  readonly allowed: boolean;
  /** Requests that may come at once at most: the burst and one. */
  readonly limit: number;
  /** How many of them are left. */
  readonly remaining: number;
  /** Until all of them are back. */
  readonly resetMs: number;
  /** Until the next request fits; 0 for a request that was allowed. */
  readonly retryMs: number;
};

const HOUR_MS = 3_600_000;

/** Fractions of a millisecond don't add up exactly: what fits exactly must fit, and a second must not become two. */
const ROUNDING_MS = 1e-3;

/** Clients whose whole burst is back are forgotten when there are more than this. */
const CLIENTS_KEPT = 10_000;

/**
 * Horizon's limit (throttled's GCRA): every client has `burst` + 1 requests, and one comes back each
 * 1 / `requestsPerHour` of an hour. A refused request costs nothing.
 */
export class RateLimit {
  /** Per client, when its whole burst is back, on the clock of `now`. */
  readonly #fullAt = new Map<string, number>();

  constructor(
    readonly options: RateLimitOptions,
    readonly now: () => number = () => performance.now(),
  ) {}

  /** Counts one request or one look of a stream. Null without a limit. */
  take(client: string): Allowance | null {
    const { requestsPerHour, burst } = this.options;
    if (requestsPerHour === 0) return null;
    const each = HOUR_MS / requestsPerHour;
    const limit = burst + 1;
    const now = this.now();
    const fullAt = Math.max(this.#fullAt.get(client) ?? now, now);
    const after = fullAt + each;
    const retryMs = after - now - limit * each;
    const allowed = retryMs <= ROUNDING_MS;
    if (allowed) this.#keep(client, after, now);
    const resetMs = (allowed ? after : fullAt) - now;
    const remaining = Math.max(Math.floor(limit - (resetMs - ROUNDING_MS) / each), 0);
    return { allowed, limit, remaining, resetMs, retryMs: allowed ? 0 : retryMs };
  }

  /** What a client sees that has nothing left, for the fault that says so. */
  spent(retryMs: number): Allowance {
    const { requestsPerHour, burst } = this.options;
    const limit = burst + 1;
    const resetMs = limit * (HOUR_MS / (requestsPerHour || 3600));
    return { allowed: false, limit, remaining: 0, resetMs, retryMs };
  }

  #keep(client: string, fullAt: number, now: number): void {
    this.#fullAt.set(client, fullAt);
    if (this.#fullAt.size <= CLIENTS_KEPT) return;
    for (const [known, at] of this.#fullAt) if (at <= now) this.#fullAt.delete(known);
  }
}

/** The headers of one answer, as Horizon writes them: whole seconds, rounded up. */
export function limitHeaders(allowance: Allowance): Record<string, string> {
  const seconds = (ms: number) => Math.ceil((ms - ROUNDING_MS) / 1000).toString();
  return {
    "X-Ratelimit-Limit": allowance.limit.toString(),
    "X-Ratelimit-Remaining": allowance.remaining.toString(),
    "X-Ratelimit-Reset": seconds(allowance.resetMs),
    ...(allowance.allowed ? {} : { "Retry-After": seconds(Math.max(allowance.retryMs, 1)) }),
  };
}

/**
 * Whose limit a request counts against: the first address of `X-Forwarded-For`, so that one machine can be several
 * clients, else the address that it came from. Horizon believes the header only where it is told to.
 */
export function clientOf({ headers, socket }: IncomingMessage): string {
  const [forwarded = ""] = (headers["x-forwarded-for"]?.toString() ?? "").split(",");
  return forwarded.trim() || (socket.remoteAddress ?? "unknown");
}
