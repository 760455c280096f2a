import { retryAfterMs } from "../backoff.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** About when a delivery is tried again after its first, second, … failed attempt; then it is dead. Three days. */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** Up to this much is added to a delay, or taken off: what failed together must not come back together. */
const JITTER = 0.1;

/** What an overloaded endpoint that names no time is left alone for: doubled with each failure, up to the second. */
const SLOW_DOWN_MS = [5 * SECOND, 5 * MINUTE] as const;

/** Answers that speak of the endpoint and not of the event: too many requests, bad gateway, gateway time-out. */
const OVERLOADED: ReadonlySet<number> = new Set([429, 502, 504]);

const GONE = 410;

/** What came of one request. */
export type Answer = {
  /** The HTTP status; null where no answer came. */
  readonly status: number | null;
  /** The Retry-After header as it came. */
  readonly retryAfter: string | null;
  /** Why there is no answer, or why it doesn't count, in words for the merchant. */
  readonly error: string | null;
};

/** What an attempt means for its delivery, and for its endpoint. */
export type Verdict =
  | { readonly state: "delivered" }
  | {
      readonly state: "pending";
      /** Until the next attempt. */
      readonly delayMs: number;
      readonly slowDownMs: number | null;
      readonly disable: boolean;
    }
  | { readonly state: "dead"; readonly slowDownMs: number | null; readonly disable: boolean };

/** Everything that the verdict depends on, besides the answer. */
export type Circumstances = {
  /** Which attempt this was since the delivery was last asked for: 1 for the first. */
  readonly attempt: number;
  /** The endpoint's failed attempts in a row, before this one. */
  readonly failures: number;
  readonly now: Date;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/**
 * Decides what an answer means: 2xx is success; 410 disables the endpoint; everything else, redirects too, is tried
 * again, later each time, until the schedule ends. Pure.
 */
export function judge(answer: Answer, { attempt, failures, now, random }: Circumstances): Verdict {
  const { status } = answer;
  if (status !== null && status >= 200 && status < 300) return { state: "delivered" };
  const asked = retryAfterMs(answer.retryAfter, now);
  const slowDownMs = status !== null && OVERLOADED.has(status) ? (asked ?? slowDown(failures)) : null;
  const disable = status === GONE;
  const delay = RETRY_DELAYS_MS[attempt - 1];
  if (delay === undefined) return { state: "dead", slowDownMs, disable };
  const jittered = Math.round(delay * (1 - JITTER + 2 * JITTER * random));
  // The endpoint knows when it is able again, and the schedule when to try a broken one: the later of both.
  return { state: "pending", delayMs: Math.max(jittered, asked ?? 0), slowDownMs, disable };
}

function slowDown(failures: number): number {
  const [base, most] = SLOW_DOWN_MS;
  return Math.min(most, base * 2 ** failures);
}
