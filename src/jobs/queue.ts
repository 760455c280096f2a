import {
  Worker as BullWorker,
  type Job,
  type JobsOptions,
  Queue,
  type Telemetry,
  type WorkerOptions,
} from "bullmq";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { RedisClient } from "../redis/client.js";

/** All of BullMQ's keys, in one hash tag, as a Redis Cluster needs it. */
export const PREFIX = "{paidonce:jobs}";

/** A hash that counts, for each scheduled job, its signs of life: when it begins, while it runs, and when it ends, in any replica. */
export const RUNS_KEY = `${PREFIX}:runs`;

/** The jobs that are only a timer. */
export const SCHEDULED_QUEUE = "scheduled";

/** One job for each webhook that is due. */
export const WEBHOOK_QUEUE = "webhooks";

/** One job for each charge that is due. */
export const CHARGE_QUEUE = "charges";

/** What each queue of a worker is given. */
export type QueueContext = {
  readonly dataSource: DataSource;
  readonly logger: Logger;
  /** For commands. Shared by all queues of the process. */
  readonly forQueues: RedisClient;
  /** For taking jobs; BullMQ makes a blocking connection of its own from it. */
  readonly forWorkers: RedisClient;
  /** Carries traces from whoever adds a job to whoever runs it; none by default. */
  readonly telemetry?: Telemetry | undefined;
  /** Called when this process takes no more jobs of a queue, although nobody has stopped it. */
  readonly onEnded: (why: string) => void;
};

/** A job that asks to look at a row. Its id says which, and since when: a job of an earlier time can't stand for it. */
export type DueJob<Data> = {
  readonly name: string;
  readonly data: Data;
  readonly opts: { readonly jobId: string };
};

export type QueueWorkerOptions<Data> = {
  readonly run: (job: Job<Data>) => Promise<unknown>;
  /** What becomes of jobs that are done. */
  readonly jobs: Pick<JobsOptions, "removeOnComplete" | "removeOnFail">;
  readonly worker?: Pick<WorkerOptions, "concurrency" | "maxStalledCount">;
  readonly onFailed?: (job: Job<Data> | undefined, error: Error) => void;
};

/** Of a fault that lasts, one line in so long. */
const SAID_EVERY_MS = 30_000;

/** How long this worker trusts that what it has enqueued is still there. */
const TRUSTED_MS = 1_000;

/** A queue of BullMQ and this process's worker on it, on the connections that all queues of a process share. */
export class QueueWorker<Data> {
  readonly queue: Queue<Data, unknown, string>;
  readonly #worker: BullWorker<Data, unknown, string>;
  readonly #context: QueueContext;
  #isStopping = false;
  /** The jobs that were enqueued here a moment ago: without this each look would write all of them again. */
  readonly #enqueued = new Set<string>();
  #trustedUntil = 0;
  #silentUntil = 0;

  constructor(
    readonly name: string,
    context: QueueContext,
    { run, jobs, worker, onFailed }: QueueWorkerOptions<Data>,
  ) {
    this.#context = context;
    const { forQueues, forWorkers, telemetry } = context;
    const shared = { prefix: PREFIX, ...(telemetry && { telemetry }) };
    this.queue = new Queue(name, { ...shared, connection: forQueues, defaultJobOptions: jobs });
    this.#worker = new BullWorker(name, run, {
      ...shared,
      ...worker,
      connection: forWorkers,
      autorun: false,
    });
    // Without listeners these would end the process. A fault comes again with each try: it is said once in a while.
    this.queue.on("error", (error) => this.#say(error));
    this.#worker.on("error", (error) => this.#say(error));
    if (onFailed !== undefined) this.#worker.on("failed", onFailed);
  }

  #say(error: Error): void {
    const now = performance.now();
    if (now < this.#silentUntil) return;
    this.#silentUntil = now + SAID_EVERY_MS;
    this.#context.logger.warn({ err: error, queue: this.name }, "a queue's connection or worker failed");
  }

  start(): void {
    const ended = (error?: unknown) => {
      if (this.#isStopping) return;
      const why = error === undefined ? "" : `: ${error instanceof Error ? error.message : String(error)}`;
      this.#context.onEnded(`the worker of the queue ${this.name} has ended${why}`);
    };
    this.#worker.run().then(() => ended(), ended);
  }

  /** @param isAway Redis can't be reached: jobs in hand can't be finished there, and are left for a repetition */
  async stop(isAway: boolean): Promise<void> {
    this.#isStopping = true;
    await this.#worker.close(isAway);
    await this.queue.close();
  }

  /**
   * Enqueues what is due, but for what was enqueued here a moment ago. A job that is there already, by its id, is not
   * enqueued again.
   * @param idOf names what is due, and since when
   */
  async enqueue<Due>(
    due: readonly Due[],
    idOf: (one: Due) => string,
    toJobs: (due: readonly Due[]) => readonly DueJob<Data>[],
  ): Promise<void> {
    const now = performance.now();
    if (now > this.#trustedUntil) {
      this.#enqueued.clear();
      this.#trustedUntil = now + TRUSTED_MS;
    }
    const unknown = due.filter((one) => !this.#enqueued.has(idOf(one)));
    if (unknown.length === 0) return;
    for (const one of unknown) this.#enqueued.add(idOf(one));
    await this.queue.addBulk(toJobs(unknown) as Parameters<typeof this.queue.addBulk>[0]);
  }

  /** Its job has ended with nothing done: the next look may enqueue it again. */
  forget(id: string): void {
    this.#enqueued.delete(id);
  }
}
