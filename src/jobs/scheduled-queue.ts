import { type QueueContext, QueueWorker, RUNS_KEY } from "./queue.js";

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
  readonly name: string;
  readonly jobs: Readonly<Record<string, ScheduledJob>>;
  /** How often schedules are put back, for tests; 30 s by default. */
  readonly rescheduleMs?: number;
  /** How often a run that lasts says that it is alive, for tests; 10 s by default. */
  readonly sayAliveMs?: number;
};

/** A queue of jobs that run on a schedule, each run in one of the replicas. */
export class ScheduledQueue {
  readonly #options: ScheduledQueueOptions;
  readonly #jobs: QueueWorker<unknown>;
  /** Schedules that are to be written from scratch, and have not been yet. */
  readonly #doubted = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ScheduledQueueOptions) {
    this.#options = options;
    this.#jobs = new QueueWorker(options.name, options, {
      run: (job) => this.#run(job.name),
      jobs: { removeOnComplete: { count: 100 }, removeOnFail: { count: 1_000 } },
      onFailed: (job, error) =>
        options.logger.warn(
          { err: error, job: job?.name },
          `job ${job?.name} failed; it runs again on schedule`,
        ),
    });
  }

  get name(): string {
    return this.#options.name;
  }

  isRunning(): boolean {
    return this.#jobs.isRunning();
  }

  /**
   * @param anew the schedules that are there are not to be trusted: a replica whose clock is hours ahead leaves one
   * whose next job lies as far in the future, and an upsert would leave it as it is
   */
  start({ anew = false }: { readonly anew?: boolean } = {}): void {
    if (anew) for (const name of Object.keys(this.#options.jobs)) this.#doubted.add(name);
    // Not waited for: while Redis is away this lasts as long, and the process must be able to stop meanwhile.
    void this.#schedule();
    this.#timer = setInterval(() => this.#schedule(), this.#options.rescheduleMs ?? RESCHEDULE_MS);
    this.#jobs.start();
  }

  /** @param isAway Redis can't be reached: the job in hand can't be finished there, and is left for a repetition */
  async stop(isAway: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.#jobs.stop(isAway);
  }

  /** Idempotent: an existing schedule with the same interval is left as it is, unless it is doubted. */
  async #schedule(): Promise<void> {
    const { queue } = this.#jobs;
    for (const [name, { every }] of Object.entries(this.#options.jobs)) {
      try {
        if (this.#doubted.has(name)) {
          await queue.removeJobScheduler(name);
          // Not again with the next repetition: that would remove what this one writes.
          this.#doubted.delete(name);
        }
        await queue.upsertJobScheduler(name, { every }, { name });
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
    await this.#sayAlive(name);
    // An audit can take hours: without this it would count as standing, and be cut short by a restart; and so would
    // the queue's other jobs, which wait behind it.
    const names = Object.keys(this.#options.jobs);
    const sayAlive = () => names.forEach((each) => void this.#sayAlive(each));
    const alive = setInterval(sayAlive, this.#options.sayAliveMs ?? SAY_ALIVE_MS);
    let result: Readonly<Record<string, number>>;
    try {
      result = await job.run();
    } finally {
      clearInterval(alive);
    }
    await this.#sayAlive(name);
    if (Object.values(result).some((count) => count !== 0)) {
      this.#options.logger[job.level ?? "info"]({ job: name, ...result }, `job ${name} done`);
    }
    return result;
  }
}
