import { within } from "../backoff.js";
import type { RedisClient } from "../redis/client.js";
import { PREFIX, RUNS_KEY } from "./queue.js";

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

/** The queues of this process. */
export type Watched = {
  readonly scheduled: readonly ScheduledRuns[];
  standsBecause(withinMs: number): Promise<string | null>;
};

export type LivenessOptions = {
  /** A connection of its own. */
  readonly probe: RedisClient;
  /** How long nothing may happen, in milliseconds, for tests. */
  readonly standingMs?: number;
  /** In milliseconds, for tests; `performance.now` by default. */
  readonly now?: () => number;
};

/** One answer of Redis: how often each job has run, and which queues an operator has paused. */
type Runs = { readonly counts: Readonly<Record<string, string>>; readonly paused: ReadonlySet<string> };

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
    const runs = await this.#readRuns(watched.scheduled);
    if (runs === null) {
      this.reset();
      return null;
    }
    const now = this.#options.now?.() ?? performance.now();
    for (const { job, queue, every } of watched.scheduled) {
      const count = runs.counts[job] ?? "0";
      const seen = this.#seen.get(job);
      // A paused queue stands as it should; once it is resumed its jobs have their whole time again.
      if (seen?.count !== count || runs.paused.has(queue)) this.#seen.set(job, { count, at: now });
      else if (now - seen.at > this.#patience(every)) {
        return `nobody has run the job ${job} for ${Math.round((now - seen.at) / 1000)} s`;
      }
    }
    return watched.standsBecause(this.#options.standingMs ?? ANSWERS_WITHIN_MS);
  }

  /** A probe that hangs like the others would tell nothing: it is connected anew. */
  async #readRuns(scheduled: readonly ScheduledRuns[]): Promise<Runs | null> {
    const { probe } = this.#options;
    const answer = readRuns(probe, new Set(scheduled.map(({ queue }) => queue))).catch(() => null);
    const runs = await within(ANSWERS_WITHIN_MS, answer, "late" as const);
    if (runs !== "late") return runs;
    probe.disconnect(true);
    return null;
  }

  /** After a restart, or an outage: everything has its time again. */
  reset(): void {
    this.#seen = new Map();
  }

  #patience(every: number): number {
    return this.#options.standingMs ?? Math.max(AT_LEAST_MS, INTERVALS * every);
  }
}

/** @throws Error the first that Redis gave */
async function readRuns(probe: RedisClient, queues: ReadonlySet<string>): Promise<Runs> {
  const pipeline = probe.pipeline().hgetall(RUNS_KEY);
  for (const queue of queues) pipeline.hexists(`${PREFIX}:${queue}:meta`, "paused");
  const [counts, ...paused] = ((await pipeline.exec()) ?? []).map(([error, answer]) => {
    if (error !== null) throw error;
    return answer;
  });
  return {
    counts: (counts ?? {}) as Record<string, string>,
    paused: new Set([...queues].filter((_, index) => paused[index] === 1)),
  };
}

/** Restarts that follow each other: how many there were, and when the last one began, in milliseconds. */
export type Restarts = { readonly count: number; readonly lastAt: number };

/** A restart that comes so long after the one before has a cause of its own. */
const FOLLOWS_WITHIN_MS = 30 * 60_000;

const LONGEST_PAUSE_MS = 10 * 60_000;

/**
 * What a restart does not help against (a Redis that answers reads and refuses writes, say) must not make one restart
 * after another: while they follow each other, the pause between them doubles up to ten minutes.
 * @param firstMs the pause after the first of them
 * @returns the restarts with the one that may begin now; null where it must wait
 */
export function nextRestart(before: Restarts | null, now: number, firstMs: number): Restarts | null {
  if (before === null || now - before.lastAt > FOLLOWS_WITHIN_MS) return { count: 1, lastAt: now };
  const pause = Math.min(LONGEST_PAUSE_MS, firstMs * 2 ** (before.count - 1));
  return now - before.lastAt < pause ? null : { count: before.count + 1, lastAt: now };
}
