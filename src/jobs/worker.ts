/**
 * src/jobs: repeatable work on BullMQ. A job may run twice at once or not at all for a while (a stalled
 * worker, a flushed Redis): each must be safe to repeat, and nothing may depend on a job's data being kept.
 */
import { Worker as BullWorker, Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { expireSessions } from "../settlement/expire-sessions.js";

/** All of BullMQ's keys, in one hash tag, as a Redis Cluster needs it. */
const PREFIX = "{paidonce:jobs}";

const QUEUE = "maintenance";

/** Schedules are put back this often: a Redis that lost its data has lost them too. */
const RESCHEDULE_MS = 30_000;

type Job = {
  readonly every: number;
  readonly run: (dataSource: DataSource) => Promise<Record<string, unknown>>;
};

const JOBS: Readonly<Record<string, Job>> = {
  /** Sessions past their time. */
  expiry: {
    every: 60_000,
    run: async (dataSource) => ({ expired: await expireSessions(dataSource) }),
  },
};

export type WorkerOptions = {
  readonly dataSource: DataSource;
  readonly logger: Logger;
  /** Makes a connection as BullMQ wants it: without a limit of retries, and without a time-out for commands. */
  readonly connect: (name: string) => Redis;
  /** Overrides each job's own interval, for tests. */
  readonly everyMs?: number;
  /** How often schedules are put back, for tests; 30 s by default. */
  readonly rescheduleMs?: number;
};

/** One replica of the job worker. Any number may run; each scheduled run goes to one of them. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #connections: Redis[];
  readonly #queue: Queue;
  readonly #worker: BullWorker;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const [forQueue, forWorker] = [options.connect("paidonce-queue"), options.connect("paidonce-work")];
    this.#connections = [forQueue, forWorker];
    this.#queue = new Queue(QUEUE, {
      connection: forQueue,
      prefix: PREFIX,
      defaultJobOptions: { removeOnComplete: { count: 100 }, removeOnFail: { count: 1_000 } },
    });
    this.#worker = new BullWorker(QUEUE, (job) => this.#run(job.name), {
      connection: forWorker,
      prefix: PREFIX,
      autorun: false,
    });
    // One line per fault is written by the connections; without listeners these would end the process.
    this.#queue.on("error", () => undefined);
    this.#worker.on("error", () => undefined);
  }

  start(): void {
    // Not waited for: while Redis is away this lasts as long, and the process must be able to stop meanwhile.
    void this.#schedule();
    this.#timer = setInterval(() => this.#schedule(), this.#options.rescheduleMs ?? RESCHEDULE_MS);
    void this.#worker.run().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, "the job worker ended");
    });
  }

  /** Finishes the job in hand; while Redis is away it can't be finished there, and is left for a repetition. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const isAway = this.#connections.some((connection) => connection.status !== "ready");
    // Commands that wait for Redis to come back would make the stop wait for it too.
    if (isAway) for (const connection of this.#connections) connection.disconnect();
    await this.#worker.close(isAway);
    await this.#queue.close();
    for (const connection of this.#connections) connection.disconnect();
  }

  /** Idempotent: an existing schedule with the same interval is left as it is. */
  async #schedule(): Promise<void> {
    try {
      for (const [name, job] of Object.entries(JOBS)) {
        await this.#queue.upsertJobScheduler(name, { every: this.#options.everyMs ?? job.every }, { name });
      }
    } catch (error) {
      this.#options.logger.warn({ err: error }, "can't write the job schedules; trying again");
    }
  }

  async #run(name: string): Promise<unknown> {
    const job = JOBS[name];
    if (job === undefined) throw new Error(`no job is called ${name}`);
    const result = await job.run(this.#options.dataSource);
    if (Object.values(result).some((count) => count !== 0)) {
      this.#options.logger.info({ job: name, ...result }, `job ${name} done`);
    }
    return result;
  }
}
