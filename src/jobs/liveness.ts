import type { Redis } from "ioredis";
import { sleep } from "../backoff.js";
import { PREFIX, RUNS_KEY } from "./queues.js";

/** A job that nobody has run for so many of its intervals stands, and not before a minute has passed. */
const INTERVALS = 3;
const AT_LEAST_MS = 60_000;

/** How long a connection may take to answer while another one to the same server answers at once. */
const ANSWERS_WITHIN_MS = 5_000;

/** A job that should run again and again. */
export type ScheduledRuns = {
  readonly job: string;
  readonly queue: string;
  /** Milliseconds from one run to the next. */
  readonly every: number;
};

/** What is looked at: the queues of this process. */
export type Watched = {
  readonly scheduled: readonly ScheduledRuns[];
  standsBecause(withinMs: number): Promise<string | null>;
};

export type LivenessOptions = {
  /** A connection of its own. */
  readonly probe: Redis;
  /** How long nothing may happen, in milliseconds, for tests. */
  readonly standingMs?: number;
};

/**
 * Tells when job workers stand although Redis is there: after a restart or a failover a connection can hang for ever,
 * a worker's loop can have ended, a schedule can be there without its job. Goes by what happens (runs that are
 * counted in Redis by whoever makes them), never by times that some process wrote down: clocks can be wrong.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  /** Per job, the count that was last seen, and when it was first seen so. */
  #seen = new Map<string, { readonly count: string; readonly at: number }>();

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** @returns why the workers stand; null where they don't, or where Redis is away and standing is all they can do */
  async look(watched: Watched): Promise<string | null> {
    const counts = await this.#readRuns();
    if (counts === null) {
      this.reset();
      return null;
    }
    const now = performance.now();
    for (const { job, queue, every } of watched.scheduled) {
      const count = counts[job] ?? "0";
      const seen = this.#seen.get(job);
      if (seen?.count !== count) this.#seen.set(job, { count, at: now });
      else if (now - seen.at > this.#patience(every) && !(await this.#isPaused(queue))) {
        return `nobody has run the job ${job} for ${Math.round((now - seen.at) / 1000)} s`;
      }
    }
    return watched.standsBecause(this.#options.standingMs ?? ANSWERS_WITHIN_MS);
  }

  /** A probe that hangs like the others would tell nothing: it is connected anew. */
  async #readRuns(): Promise<Record<string, string> | null> {
    const { probe } = this.#options;
    const late = new AbortController();
    const answer = probe.hgetall(RUNS_KEY).catch(() => null);
    const counts = await Promise.race([
      answer,
      sleep(ANSWERS_WITHIN_MS, late.signal).then(() => "late" as const),
    ]);
    late.abort();
    if (counts !== "late") return counts;
    probe.disconnect(true);
    return null;
  }

  /** After a restart, or an outage: everything has its time again. */
  reset(): void {
    this.#seen = new Map();
  }

  /** By an operator, in Bull Board: then standing is what it should do. */
  async #isPaused(queue: string): Promise<boolean> {
    const found = await this.#options.probe.hexists(`${PREFIX}:${queue}:meta`, "paused").catch(() => 1);
    return found === 1;
  }

  #patience(every: number): number {
    return this.#options.standingMs ?? Math.max(AT_LEAST_MS, INTERVALS * every);
  }
}
