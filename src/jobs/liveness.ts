import { within } from "../backoff.js";
import type { RedisClient } from "../redis/client.js";
import { PREFIX, RUNS_KEY, SCHEDULED_QUEUE } from "./queue.js";

/** A job that nobody has run for so many of its intervals stands, and not before a minute has passed. */
const INTERVALS = 3;
const AT_LEAST_MS = 60_000;

/** How long a connection may take to answer while another one to the same server answers at once. */
export const ANSWERS_WITHIN_MS = 5_000;

export type LivenessOptions = {
  /** A connection of its own. */
  readonly probe: RedisClient;
  /** Milliseconds from one run to the next, of each job that should run again and again. */
  readonly intervals: ReadonlyMap<string, number>;
  /** How long nothing may happen, in milliseconds, for tests. */
  readonly standingMs?: number | undefined;
  /** In milliseconds, for tests; `performance.now` by default. */
  readonly now?: () => number;
};

/** A job that nobody runs. */
export type Standing = { readonly job: string; readonly seconds: number };

/** One answer of Redis: how often each job has run, and whether an operator has paused their queue. */
type Runs = { readonly counts: Readonly<Record<string, string>>; readonly isPaused: boolean };

/**
 * Finds the scheduled job that nobody runs although Redis is there: after a restart or a failover a connection can hang for
 * ever, a schedule can be there without its job, or name a time that is hours away. Goes by what happens (runs that each
 * process counts in Redis), never by times that some process wrote down: clocks can be wrong.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  /** Per job, the count that was last seen, and when it was first seen so. */
  #seen = new Map<string, { readonly count: string; readonly at: number }>();

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** @returns null where all run, and also where Redis is away: then no job can run */
  async look(): Promise<Standing | null> {
    const runs = await this.#readRuns();
    if (runs === null) {
      // After an outage everything has its time again.
      this.#seen = new Map();
      return null;
    }
    const now = this.#options.now?.() ?? performance.now();
    for (const [job, every] of this.#options.intervals) {
      const count = runs.counts[job] ?? "0";
      const seen = this.#seen.get(job);
      // A paused queue stands as it should; once it is resumed its jobs have their whole time again.
      if (seen?.count !== count || runs.isPaused) this.#seen.set(job, { count, at: now });
      else if (now - seen.at > this.#patience(every)) {
        return { job, seconds: Math.round((now - seen.at) / 1000) };
      }
    }
    return null;
  }

  /** A probe that hangs like the others would tell nothing: it is connected anew. */
  async #readRuns(): Promise<Runs | null> {
    const { probe } = this.#options;
    const runs = await within(
      ANSWERS_WITHIN_MS,
      readRuns(probe).catch(() => null),
      "late" as const,
    );
    if (runs !== "late") return runs;
    probe.disconnect(true);
    return null;
  }

  #patience(every: number): number {
    return this.#options.standingMs ?? Math.max(AT_LEAST_MS, INTERVALS * every);
  }
}

/** @throws Error the first that Redis gave */
async function readRuns(probe: RedisClient): Promise<Runs> {
  const meta = `${PREFIX}:${SCHEDULED_QUEUE}:meta`;
  const answers = (await probe.pipeline().hgetall(RUNS_KEY).hexists(meta, "paused").exec()) ?? [];
  const [counts, paused] = answers.map(([error, answer]) => {
    if (error !== null) throw error;
    return answer;
  });
  return { counts: (counts ?? {}) as Record<string, string>, isPaused: paused === 1 };
}
