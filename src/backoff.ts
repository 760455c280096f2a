import { setTimeout } from "node:timers/promises";

export type BackoffOptions = {
  /** Upper bound of the first delay, in milliseconds; it doubles with each attempt. */
  readonly baseMs: number;
  /** Upper bound of every delay, in milliseconds. */
  readonly maxMs: number;
};

/**
 * Exponential backoff with full jitter: uniform between 0 and min(maxMs, baseMs · 2^attempt). Full jitter, because
 * replicas that failed together would otherwise come back together.
 * @param attempt 0 after the first failure
 * @param random a number in [0, 1), as from Math.random()
 * @returns whole milliseconds
 */
export function backoffDelay(attempt: number, random: number, { baseMs, maxMs }: BackoffOptions): number {
  return Math.floor(random * Math.min(maxMs, baseMs * 2 ** attempt));
}

/** Waits `ms`, or until `signal` aborts, whichever comes first. Never throws: the caller asks the signal. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, signal && { signal }).catch(() => undefined);
}

/** What `work` comes to, or `late` if that takes longer than `ms` or `signal` aborts. `work` itself goes on. */
export async function within<T, L>(
  ms: number,
  work: Promise<T>,
  late: L,
  signal: AbortSignal = new AbortController().signal,
): Promise<T | L> {
  const done = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, AbortSignal.any([done.signal, signal])).then(() => late)]);
  } finally {
    done.abort();
  }
}

/** No server may ask for more patience than this. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;

/**
 * Reads a Retry-After header: seconds, or an HTTP date.
 * @returns milliseconds from `now`, between 0 and 24 h; null where it is missing or says neither
 */
export function retryAfterMs(header: string | null | undefined, now = new Date()): number | null {
  if (header === null || header === undefined) return null;
  const text = header.trim();
  // Dates only as HTTP writes them: Date.parse would take "-1" for a month.
  const ms = /^\d{1,10}$/.test(text)
    ? Number(text) * 1_000
    : /^[A-Z][a-z]{2},? /.test(text)
      ? httpDateMs(text) - now.getTime()
      : Number.NaN;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** The oldest form of an HTTP date, `Sat Nov 21 13:00:00 2026`, names no zone: Date.parse would take it for local time. */
function httpDateMs(text: string): number {
  return Date.parse(text.endsWith(" GMT") ? text : `${text} GMT`);
}
