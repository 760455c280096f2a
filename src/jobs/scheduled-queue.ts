import { type QueueContext, QueueWorker, RUNS_KEY, SCHEDULED_QUEUE } from "./queue.js";

/** Schedules are put back this often: a Redis that lost its data has lost them too. */
const RESCHEDULE_MS = 30_000;

/** How often a run that lasts says that it is alive: well within the patience of liveness, a minute at the least. */
const SAY_ALIVE_MS = 10_000;

export type ScheduledJob = {
  /** Milliseconds from one run to the next. */
  readonly every: number;
  /** Must be safe to run twice, at once, or late. What it returns is logged where it is not zero. */
  readonly run: () => Promise<Readonly<Record<string, number>>>;
  /** How loud its log line is; "info" by default. */
  readonly level?: "debug" | "info";
};

export type ScheduledQueueOptions = QueueContext & {
  readonly jobs: Readonly<Record<string, ScheduledJob>>;
  /** How often schedules are put back, for tests; 30 s by default. */
  readonly rescheduleMs?: number | undefined;
  /** How often a run that lasts says that it is alive, for tests; 10 s by default. */
  readonly sayAliveMs?: number | undefined;
};

/**
 * The queue of all jobs that are only a timer, each run in one of the replicas. A job that lasts holds up no other: there is
 * room for one run of each.
 */
export class ScheduledQueue {
  readonly #options: ScheduledQueueOptions;
  readonly #queue: QueueWorker<unknown>;
  /** Jobs that this process runs now. */
  readonly #running = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ScheduledQueueOptions) {
    this.#options = options;
    this.#queue = new QueueWorker(SCHEDULED_QUEUE, options, {
      run: (job) => this.#run(job.name),
      jobs: { removeOnComplete: { count: 100 }, removeOnFail: { count: 1_000 } },
      worker: { concurrency: Object.keys(options.jobs).length },
      onFailed: (job, error) =>
        options.logger.warn(
          { err: error, job: job?.name },
          `job ${job?.name} failed; it runs again on schedule`,
        ),
    });
  }

  start(): void {
    // Not waited for: while Redis is away this lasts as long, and the process must be able to stop meanwhile.
    void this.#schedule();
    this.#timer = setInterval(() => this.#schedule(), this.#options.rescheduleMs ?? RESCHEDULE_MS);
    this.#queue.start();
  }

  /** @param isAway Redis can't be reached: the job in hand can't be finished there, and is left for a repetition */
  async stop(isAway: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.#queue.stop(isAway);
  }

  /**
   * Removes the schedules, and the next process writes them from scratch. A replica whose clock is hours ahead leaves some
   * whose next run lies as far in the future, and an upsert would leave them as they are.
   */
  async removeSchedules(): Promise<void> {
    clearInterval(this.#timer);
    for (const name of Object.keys(this.#options.jobs)) await this.#queue.queue.removeJobScheduler(name);
  }

  /** Idempotent: an existing schedule with the same interval is left as it is. */
  async #schedule(): Promise<void> {
    for (const [name, { every, level }] of Object.entries(this.#options.jobs)) {
      // Runs of each second would leave none of the others to be seen on the board.
      const opts = level === "debug" ? { removeOnComplete: true } : {};
      try {
        await this.#queue.queue.upsertJobScheduler(name, { every }, { name, opts });
      } catch (error) {
        // One whose schedule Redis refuses keeps no other from being written.
        this.#options.logger.warn({ err: error, job: name }, "can't write a job's schedule; trying again");
      }
    }
  }

  /** What liveness goes by: no clock is asked, and a flushed counter has moved too. */
  async #sayAlive(name: string): Promise<void> {
    await this.#options.forQueues.hincrby(RUNS_KEY, name, 1).catch(() => undefined);
  }

  async #run(name: string): Promise<unknown> {
    const job = this.#options.jobs[name];
    if (job === undefined) throw new Error(`no job is called ${name}`);
    // The run before lasts still. Without this line runs of one job would take the room of all others.
    if (this.#running.has(name)) return {};
    this.#running.add(name);
    await this.#sayAlive(name);
    // An audit can take hours: without this it would count as standing, and be cut short.
    const alive = setInterval(() => this.#sayAlive(name), this.#options.sayAliveMs ?? SAY_ALIVE_MS);
    let result: Readonly<Record<string, number>>;
    try {
      result = await job.run();
    } finally {
      clearInterval(alive);
      this.#running.delete(name);
    }
    await this.#sayAlive(name);
    if (Object.values(result).some((count) => count !== 0)) {
      this.#options.logger[job.level ?? "info"]({ job: name, ...result }, `job ${name} done`);
    }
    return result;
  }
}
