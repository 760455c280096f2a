/**
 * src/jobs: work in the background, on BullMQ. A job may run twice at once or not at all for a while (a stalled
 * worker, a flushed Redis): each must be safe to repeat, and nothing may depend on a job's data being kept.
 */
import type { Redis } from "ioredis";
import { sleep } from "../backoff.js";
import { recordFinding } from "../recovery/findings-log.js";
import { type EngineOptions, JobEngine } from "./engine.js";
import { Liveness } from "./liveness.js";

/** How often the worker looks whether its queues still move. */
const LOOK_MS = 15_000;

/** A stop of queues whose connections are dead may never end: the new ones do not wait longer for it. */
const STOP_WITHIN_MS = 10_000;

export type WorkerOptions = EngineOptions & {
  /** How often to look whether the queues move, and how long they may stand, for tests. */
  readonly liveness?: { readonly everyMs: number; readonly standingMs: number };
};

/** One replica of the job worker. Any number may run; each run of a job goes to one of them. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #probe: Redis;
  readonly #liveness: Liveness;
  readonly #stopping = new AbortController();
  #engine: JobEngine;
  #watching: Promise<void> | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#engine = new JobEngine(options);
    this.#probe = options.connect("paidonce-liveness");
    this.#liveness = new Liveness({
      probe: this.#probe,
      ...(options.liveness && { standingMs: options.liveness.standingMs }),
    });
  }

  start(): void {
    this.#engine.start();
    this.#watching ??= this.#watch();
  }

  /** Finishes what is in hand; while Redis is away it can't be finished there, and is left for a repetition. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#probe.disconnect();
    await this.#watching;
    await this.#engine.stop();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.#options.liveness?.everyMs ?? LOOK_MS, signal);
      if (signal.aborted) return;
      const why = await this.#liveness.look(this.#engine);
      if (why !== null && !signal.aborted) await this.#restart(why);
    }
  }

  /** New queues on new connections: what hangs in the old ones is redelivered, which is safe at any point. */
  async #restart(why: string): Promise<void> {
    const { logger, dataSource } = this.#options;
    logger.error({ why }, "the job workers stand although Redis answers; starting them anew");
    await Promise.race([this.#engine.stop(true), sleep(STOP_WITHIN_MS, this.#stopping.signal)]);
    this.#engine = new JobEngine(this.#options);
    this.#engine.start();
    this.#liveness.reset();
    await recordFinding(dataSource, null, {
      kind: "worker_standing",
      subject: "jobs",
      action: "restarted",
      detail: `The job workers of a process stood: ${why}. They were started anew`,
      evidence: { why },
      before: { running: false },
      after: { running: true },
    }).catch((error: unknown) => logger.warn({ err: error }, "the restart could not be written down"));
  }
}
