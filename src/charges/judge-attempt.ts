import type { ChargeOutcome, FindOutcome, PrepareOutcome } from "../providers/provider.js";
import type { ChargeEnding } from "../settlement/end-charge.js";

/** The last thing that was heard in an attempt. */
export type Heard = Exclude<PrepareOutcome, { kind: "prepared" }> | ChargeOutcome | FindOutcome;

/** What an attempt means for its charge. */
export type ChargeVerdict =
  | { readonly kind: "end"; readonly ending: ChargeEnding }
  /** Certainly nothing was done: sent again, as if for the first time. */
  | { readonly kind: "again"; readonly delayMs: number }
  /** The provider is asked before anything else is sent. */
  | { readonly kind: "unknown"; readonly delayMs: number };

/** Everything that the verdict depends on, besides what was heard. */
export type ChargeCircumstances = {
  /** `unknown`: something that was sent earlier may have charged, or may still. */
  readonly status: "processing" | "unknown";
  /** How often it may have been told to charge, from 1. */
  readonly sends: number;
  /** How often it was asked, from 0. */
  readonly asks: number;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/**
 * Decides what an attempt means. Success and declines are the provider's word, and final. Only a charge of which every
 * send was refused can fail by counting: of an unknown one some earlier send may still arrive, so it is asked for
 * until an answer comes, and sending under the same key stays allowed however often that was. Pure.
 */
export function judgeAttempt(
  heard: Heard,
  { status, sends, asks, random }: ChargeCircumstances,
): ChargeVerdict {
  switch (heard.kind) {
    case "succeeded":
      return { kind: "end", ending: { kind: "succeeded", providerId: heard.providerId } };
    case "declined":
      return {
        kind: "end",
        ending: { kind: "failed", code: heard.code, detail: heard.sentence ?? heard.detail },
      };
    case "refused": {
      if (status === "unknown") {
        return { kind: "unknown", delayMs: askDelay(asks, random, heard.retryAfterMs) };
      }
      const delayMs = refusedDelay(sends, random, heard.retryAfterMs);
      if (delayMs !== null) return { kind: "again", delayMs };
      const detail = `refused ${sends} times, the last time: ${heard.detail}`;
      return { kind: "end", ending: { kind: "failed", code: "provider_unavailable", detail } };
    }
    case "in_progress":
      return { kind: "unknown", delayMs: Math.min(askDelay(asks, random), hint(heard.askAfterMs)) };
    case "unknown":
    case "absent":
      return { kind: "unknown", delayMs: askDelay(asks, random) };
  }
}

/** A provider's own idea of when to ask; never so soon that it would be asked without end. */
function hint(askAfterMs = Number.POSITIVE_INFINITY): number {
  return Math.max(askAfterMs, ASK_DELAYS_MS[0]);
}

/**
 * Whether it speaks against the provider as a whole: it is away, overloaded, or silent. One that has just answered a
 * question is none of these, whatever it makes of the charge: without that a few charges that nobody can bring to an
 * end would hold back everybody's.
 * @param hasAnswered a question, in the same attempt
 */
export function speaksAgainst(heard: Heard, hasAnswered: boolean): boolean {
  return heard.kind === "refused" || (heard.kind === "unknown" && !hasAnswered);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** About when a charge is sent again after its first, second, … refusal; then it has failed. */
const REFUSED_DELAYS_MS: readonly number[] = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE];

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
