import { type BackoffOptions, backoffDelay, sleep } from "../backoff.js";
import type { AccountId } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { HorizonError } from "./errors.js";
import { readStream } from "./stream.js";

/** `opened`: a stream has just been (re)opened, and something may have been missed. `event`: something happened. */
export type Ring = "opened" | "event";

export type DoorbellOptions = {
  /** Base address of the server, as for HorizonClient. */
  readonly url: string;
  /** A stream without a byte for so long is reopened. Horizon cuts streams at 55 s, so a live one never gets there. */
  readonly silenceMs?: number;
  /** Until a stream's headers have come, in milliseconds. */
  readonly timeoutMs?: number;
  readonly backoff?: BackoffOptions;
  /** In [0, 1). */
  readonly random?: () => number;
  /** Monotonic milliseconds: only tells a stream that lived from one that was over at once. */
  readonly now?: () => number;
  /** Told of each failure before the wait that follows it, for logs and metrics. */
  readonly onFailure?: (error: HorizonError, waitMs: number) => void;
};

/** Longest wait that a `retry:` field may ask for: a server's slip must not silence us. */
const MAX_RETRY_MS = 10_000;

/** Wait before the next stream until the server names one, as in the SSE standard's examples and Horizon's preamble. */
const DEFAULT_RETRY_MS = 1_000;

/** A stream over sooner than this, without an event, counts as a failure: a loop of them would eat the rate limit. */
const SHORT_LIVED_MS = 1_000;

/**
 * Tells **when** something happened to an account; pages tell what. Nothing in an event is believed but its id, and
 * that only as the place to reopen at, so repeated, reordered, made-up or missing events can't make a gap: at worst
 * a page is fetched for nothing, or later.
 */
export class Doorbell {
  readonly #base: URL;
  readonly #options: Required<Omit<DoorbellOptions, "url">>;

  constructor({ url, ...options }: DoorbellOptions) {
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    this.#options = {
      silenceMs: 65_000,
      timeoutMs: 10_000,
      backoff: { baseMs: 1_000, maxMs: 30_000 },
      random: Math.random,
      now: () => performance.now(),
      onFailure: () => {},
      ...options,
    };
  }

  /**
   * Rings until the signal is aborted, and resolves then, with connection and timers gone: once whenever a stream was
   * opened, and on each event. Failures are waited out
   * by the rules of errors.ts; a 404 (the account does not exist yet) too. While nothing can be opened it does
   * not ring, so the caller also looks at pages on its own from time to time.
   * @param source an account's payments, or the ledgers as they close
   * @param onRing must not block: it should only note that there is something to fetch. What it throws ends `listen`.
   * @throws HorizonError that no wait mends (400, 410)
   */
  async listen(
    source: AccountId | "ledgers",
    after: OperationId,
    signal: AbortSignal,
    onRing: (ring: Ring) => void,
  ): Promise<void> {
    const { random, now, backoff, onFailure } = this.#options;
    let cursor = after;
    let retryMs = DEFAULT_RETRY_MS;
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = now();
      let [opened, events] = [false, 0];
      let failure: HorizonError | null = null;
      try {
        await readStream(this.#streamOf(source, cursor), {
          ...this.#options,
          signal,
          onOpen: () => {
            opened = true;
            onRing("opened");
          },
          onEvent: (id) => {
            events++;
            cursor = laterOf(cursor, id);
            onRing("event");
          },
          onRetry: (ms) => {
            retryMs = Math.min(ms, MAX_RETRY_MS);
          },
        });
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof HorizonError)) throw error;
        if (!error.retryable && error.kind !== "not_found") throw error;
        failure = error;
      }
      const lived = opened && (events > 0 || now() - startedAt >= SHORT_LIVED_MS);
      if (lived) failures = 0;
      const jitter = failure !== null || !lived ? backoffDelay(failures++, random(), backoff) : 0;
      const waitMs = failure === null ? Math.max(retryMs, jitter) : (failure.retryAfterMs ?? jitter);
      if (failure !== null) onFailure(failure, waitMs);
      await sleep(waitMs, signal).catch(() => {});
    }
  }

  #streamOf(source: AccountId | "ledgers", cursor: OperationId): URL {
    const path = source === "ledgers" ? source : `accounts/${source}/payments`;
    const url = new URL(path, this.#base);
    url.searchParams.set("cursor", `${cursor}`);
    return url;
  }
}

/** The later of the two: an event that comes out of order must not take the stream back. */
function laterOf(cursor: OperationId, id: string | undefined): OperationId {
  try {
    const seen = parseOperationId(id);
    return seen > cursor ? seen : cursor;
  } catch {
    return cursor;
  }
}
