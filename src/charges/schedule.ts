const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** About when a charge is sent again after its first, second, … refusal; then it has failed. */
export const REFUSED_DELAYS_MS: readonly number[] = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE];

/** A charge that was refused so often has failed. */
export const MAX_SENDS = REFUSED_DELAYS_MS.length + 1;

/**
 * About when a provider is asked what became of a charge: at first a moment later, since most answers were only late,
 * then more and more rarely. The last one for ever: only an answer or a person ends it.
 */
export const ASK_DELAYS_MS: readonly [number, ...number[]] = [
  2 * SECOND,
  5 * SECOND,
  15 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
];

/** No provider may ask for more patience than this. */
const MAX_RETRY_AFTER_MS = HOUR;

/**
 * When a refused charge is sent again: what the provider asked for and the schedule's own delay, whichever is longer,
 * and up to half of the latter on top. What was refused together must not come back together.
 * @param sends how often it was sent by now, from 1
 * @param random in [0, 1), as from Math.random()
 * @returns milliseconds; null when it was sent often enough
 */
export function refusedDelay(sends: number, random: number, retryAfterMs = 0): number | null {
  const delay = REFUSED_DELAYS_MS[sends - 1];
  return delay === undefined
    ? null
    : Math.round(Math.max(delay, patience(retryAfterMs)) + (delay / 2) * random);
}

/**
 * When the provider is asked next. Never null: an unknown charge is never given up by counting.
 * @param asks how often it was asked by now, from 0
 * @returns milliseconds
 */
export function askDelay(asks: number, random: number, retryAfterMs = 0): number {
  const delay = ASK_DELAYS_MS[Math.min(asks, ASK_DELAYS_MS.length - 1)] ?? ASK_DELAYS_MS[0];
  return Math.round(Math.max(delay, patience(retryAfterMs)) + (delay / 2) * random);
}

/** What a provider says may be anything. */
function patience(retryAfterMs: number): number {
  return Number.isFinite(retryAfterMs) ? Math.min(Math.max(retryAfterMs, 0), MAX_RETRY_AFTER_MS) : 0;
}
