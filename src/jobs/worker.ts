import { sleep, within } from "../backoff.js";
import { type Finding, recordFinding } from "../findings/findings-log.js";
import type { RedisClient } from "../redis/client.js";
import { type EngineOptions, JobEngine } from "./engine.js";
import { Liveness, nextRestart, type Restarts } from "./liveness.js";

/** How often the worker looks whether its queues still move; also the pause after a first restart. */
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
  readonly #probe: RedisClient;
  readonly #liveness: Liveness;
  readonly #stopping = new AbortController();
  /** Null while one is being replaced by the next. */
  #engine: JobEngine | null;
  #restarts: Restarts | null = null;
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
    this.#engine?.start();
    this.#watching ??= this.#watch();
  }

  /** Finishes what is in hand; while Redis is away it can't be finished there, and is left for a repetition. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#probe.disconnect();
    await this.#watching;
    await this.#engine?.stop();
  }

  get #lookMs(): number {
    return this.#options.liveness?.everyMs ?? LOOK_MS;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.#lookMs, signal);
      if (signal.aborted) return;
      try {
        const why =
          this.#engine === null ? "the last restart failed" : await this.#liveness.look(this.#engine);
        if (why !== null && !signal.aborted) await this.#restart(why);
      } catch (error) {
        // Without this line one surprise would end the watch, and workers that stand later would stand for ever.
        this.#options.logger.error({ err: error }, "watching over the job workers failed; looking again");
      }
    }
  }

  /** New queues on new connections: what hangs in the old ones is redelivered, which is safe at any point. */
  async #restart(why: string): Promise<void> {
    const { logger, dataSource, recovery } = this.#options;
    const restarts = nextRestart(this.#restarts, performance.now(), this.#lookMs);
    if (restarts === null) {
      logger.debug({ why }, "the job workers stand; they were started anew a moment ago");
      return;
    }
    this.#restarts = restarts;
    logger.error(
      { why, inARow: restarts.count },
      "the job workers stand although Redis answers; starting them anew",
    );
    await this.#giveUpEngine();
    // A stop that came meanwhile has found no engine to stop: one that began now would run for ever.
    if (this.#stopping.signal.aborted) return;
    this.#engine = new JobEngine(this.#options);
    this.#engine.start({ anew: true });
    this.#liveness.reset();
    const finding = standing(why);
    // Counted even where it can't be written down.
    recovery?.onFinding?.(finding);
    await recordFinding(dataSource, null, finding).catch((error: unknown) =>
      logger.warn({ err: error }, "the restart could not be written down"),
    );
  }

  /** Never throws: whatever becomes of the old queues, new ones are wanted. */
  async #giveUpEngine(): Promise<void> {
    const old = this.#engine;
    this.#engine = null;
    const stopped = old?.stop(true).catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, "the old job workers did not stop cleanly");
    });
    await within(STOP_WITHIN_MS, Promise.resolve(stopped), undefined);
  }
}

function standing(why: string): Finding {
  return {
    kind: "worker_standing",
    subject: "jobs",
    action: "restarted",
    detail: `The job workers of a process stood: ${why}. They were started anew`,
    evidence: { why },
    before: { running: false },
    after: { running: true },
  };
}
