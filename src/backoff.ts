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
