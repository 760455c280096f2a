import { collectStatus, type StatusSources } from "./collect-status.js";
import type { Status } from "./status.js";

/** One point of the charts. Null: not known then. */
export type StatusSample = {
  /** Seconds since 1970. */
  readonly at: number;
  readonly credits_per_minute: number | null;
  readonly sessions_paid_per_minute: number | null;
  readonly p50_seconds: number | null;
  readonly p99_seconds: number | null;
  readonly backlog: number | null;
  readonly oldest_unsettled_seconds: number | null;
  readonly lag_ledgers: number | null;
};

/** Asked for more often than this, the same answer serves all: pages, scrapes and probes must not add up. */
const MAX_AGE_MS = 1_000;

const SAMPLE_EVERY_MS = 5_000;

/** Ten minutes. */
const SAMPLES_KEPT = 120;

/** The status of one process' servers: one question at a time, and what it was lately. */
export class SharedStatus {
  readonly #sources: StatusSources;
  readonly #samples: StatusSample[] = [];
  #last: { readonly status: Status; readonly at: number } | null = null;
  #asking: Promise<Status> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(sources: StatusSources) {
    this.#sources = sources;
  }

  /** The status, at most a second old. Never throws. */
  async current(): Promise<Status> {
    if (this.#last !== null && performance.now() - this.#last.at < MAX_AGE_MS) return this.#last.status;
    this.#asking ??= collectStatus(this.#sources).finally(() => {
      this.#asking = null;
    });
    const status = await this.#asking;
    this.#last = { status, at: performance.now() };
    return status;
  }

  /** Begins to remember, so that a page opened in an incident shows what came before it. */
  start(): void {
    this.#timer ??= setInterval(() => this.#remember(), SAMPLE_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The last ten minutes, oldest first; empty until started. */
  samples(): readonly StatusSample[] {
    return this.#samples;
  }

  async #remember(): Promise<void> {
    this.#samples.push(sampleOf(await this.current()));
    if (this.#samples.length > SAMPLES_KEPT) this.#samples.shift();
  }
}

/** What the charts show of a status. */
export function sampleOf(status: Status): StatusSample {
  const { throughput, accounts } = status;
  const times = throughput?.close_to_settled ?? null;
  const backlogs = accounts.flatMap(({ stream }) => stream?.backlog ?? []);
  const lags = accounts.flatMap(({ lag_ledgers: lag }) => lag ?? []);
  return {
    at: new Date(status.at).getTime() / 1000,
    credits_per_minute: throughput?.credits_per_minute.last_minute ?? null,
    sessions_paid_per_minute: throughput?.sessions_paid_per_minute.last_minute ?? null,
    p50_seconds: times && times.p50_ms / 1000,
    p99_seconds: times && times.p99_ms / 1000,
    backlog: status.redis.reachable ? backlogs.reduce((a, b) => a + b, 0) : null,
    oldest_unsettled_seconds: status.redis.reachable ? (status.oldest_unsettled_seconds ?? 0) : null,
    lag_ledgers: lags.length === 0 ? null : lags.reduce((a, b) => Math.max(a, b)),
  };
}
