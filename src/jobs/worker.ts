import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { Agent } from "undici";
import { sleep, within } from "../backoff.js";
import { type Finding, recordFinding } from "../findings/findings-log.js";
import type { HorizonClient } from "../horizon/client.js";
import { onRelayNotification } from "../outbox/notify-relay.js";
import { numberEvents } from "../outbox/number-events.js";
import type { RedisClient } from "../redis/client.js";
import { deliveryBooks } from "../webhooks/deliver.js";
import type { EndpointRules } from "../webhooks/endpoints.js";
import { guardedAgent } from "../webhooks/guarded-agent.js";
import type { UrlPolicy } from "../webhooks/public-address.js";
import { type ChargeOptions, ChargeQueue } from "./charge-queue.js";
import { ANSWERS_WITHIN_MS, Liveness } from "./liveness.js";
import type { QueueContext } from "./queue.js";
import { type Recovering, scheduledJobs } from "./scheduled-jobs.js";
import { ScheduledQueue } from "./scheduled-queue.js";
import { WebhookQueue } from "./webhook-queue.js";

export type WorkerOptions = {
  /** Traces of the jobs; none by default. */
  readonly telemetry?: QueueContext["telemetry"];
  readonly dataSource: DataSource;
  readonly logger: Logger;
  /** Makes a connection as BullMQ wants it: without a limit of retries, and without a time-out for commands. */
  readonly connect: (name: string) => RedisClient;
  /** What audits read the network from; without it there are none. */
  readonly horizon?: HorizonClient;
  /** Where webhooks may go; by default to the internet alone. */
  readonly webhooks?: UrlPolicy & Pick<EndpointRules, "secretKeys">;
  /** What recovery needs beside the above; without it there is none. */
  readonly recovery?: Recovering;
  /** Through whom charges are made; without it this worker makes none. */
  readonly charges?: ChargeOptions;
  /** Overrides each job's own interval, for tests. */
  readonly everyMs?: number;
  /** How often schedules are put back, for tests; 30 s by default. */
  readonly rescheduleMs?: number;
  /** How often a run that lasts says that it is alive, for tests; 10 s by default. */
  readonly sayAliveMs?: number;
  /** How long a webhook may take, for tests; 15 s by default. */
  readonly webhookTimeoutMs?: number;
  /** How often to look whether the queues move, and how long they may stand, for tests. */
  readonly liveness?: { readonly everyMs: number; readonly standingMs: number };
};

/** How often the worker looks whether its queues still move. */
const LOOK_MS = 15_000;

/** How long a stop waits for Redis to take note of what was in hand; without it, it is done once more. */
const FINISH_WITHIN_MS = 14_000;
const GIVE_UP_AFTER_MS = 2_500;

/** How long a worker that has failed may take to write down why. */
const REPORT_WITHIN_MS = 5_000;

/** One replica of the job worker. Any number may run; each run of a job goes to one of them. */
export class Worker {
  /**
   * Resolves with the reason when this worker can't be put right: the process must end, and whatever runs it starts it again.
   * What hangs in its connections is redelivered, which is safe at any point.
   */
  readonly failed: Promise<string>;
  readonly #fail: (why: string) => void;
  readonly #options: WorkerOptions;
  readonly #connections: readonly RedisClient[];
  readonly #forBell: RedisClient;
  readonly #probe: RedisClient;
  readonly #agent: Agent;
  readonly #onDemand: readonly (WebhookQueue | ChargeQueue)[];
  readonly #scheduled: ScheduledQueue;
  readonly #liveness: Liveness;
  readonly #stopping = new AbortController();
  #hasFailed = false;
  #watching: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.failed = promise;
    this.#fail = (why) => void this.#report(why).then(() => resolve(why));
    const { dataSource, logger, connect, charges, webhooks, telemetry, everyMs, liveness } = options;
    const [forQueues, forWorkers] = [connect("paidonce-queue"), connect("paidonce-work")];
    this.#forBell = connect("paidonce-bell");
    this.#probe = connect("paidonce-liveness");
    this.#connections = [forQueues, forWorkers, this.#forBell];
    const context = { dataSource, logger, forQueues, forWorkers, telemetry, onEnded: this.#fail };
    this.#agent = guardedAgent(webhooks ?? { allowPrivate: false });
    const { webhookTimeoutMs: timeoutMs, rescheduleMs, sayAliveMs } = options;
    const forWebhooks = new WebhookQueue({
      ...context,
      books: deliveryBooks(dataSource, webhooks?.secretKeys),
      dispatcher: this.#agent,
      ...(timeoutMs && { timeoutMs }),
    });
    const forCharges = charges === undefined ? null : new ChargeQueue({ ...context, ...charges });
    this.#onDemand = forCharges === null ? [forWebhooks] : [forWebhooks, forCharges];
    const jobs = scheduledJobs({
      ...options,
      relay: () => this.#relay(),
      sweepCharges: forCharges === null ? null : () => forCharges.sweep(),
      signal: this.#stopping.signal,
    });
    const timed = Object.entries(jobs).map(
      ([name, job]) => [name, { ...job, every: everyMs ?? job.every }] as const,
    );
    this.#scheduled = new ScheduledQueue({
      ...context,
      jobs: Object.fromEntries(timed),
      rescheduleMs,
      sayAliveMs,
    });
    this.#liveness = new Liveness({
      probe: this.#probe,
      intervals: new Map(timed.map(([name, { every }]) => [name, every])),
      standingMs: liveness?.standingMs,
    });
  }

  start(): void {
    for (const queue of [...this.#onDemand, this.#scheduled]) queue.start();
    onRelayNotification(this.#forBell, () => this.#relay());
    this.#watching ??= this.#watch();
  }

  /** Finishes what is in hand; while Redis is away it can't be finished there, and is left for a repetition. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new Error("the worker stops"));
    this.#probe.disconnect();
    await this.#watching;
    // What a worker that has failed waits for may never come.
    const isAway = this.#hasFailed || this.#connections.some((connection) => connection.status !== "ready");
    // Commands that wait for Redis to come back would make the stop wait for it too.
    if (isAway) for (const connection of this.#connections) connection.disconnect();
    const stopped = Promise.all([...this.#onDemand, this.#scheduled].map((queue) => queue.stop(isAway)));
    // A cluster that lacks one master counts as there, and says nothing of the jobs that were on that one.
    await within(FINISH_WITHIN_MS, stopped, null);
    for (const connection of this.#connections) connection.disconnect();
    await within(GIVE_UP_AFTER_MS, stopped, null);
    await this.#agent.destroy();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    const { liveness, logger } = this.#options;
    while (!signal.aborted && !this.#hasFailed) {
      await sleep(liveness?.everyMs ?? LOOK_MS, signal);
      if (signal.aborted) return;
      try {
        const why = await this.#standsBecause();
        if (why !== null && !signal.aborted) this.#fail(why);
      } catch (error) {
        // Without this line one surprise would end the watch, and workers that stand later would stand for ever.
        logger.error({ err: error }, "watching over the job workers failed; looking again");
      }
    }
  }

  /** Why nothing can come from this worker any more; null while its jobs run and its Redis answers, or is away for all. */
  async #standsBecause(): Promise<string | null> {
    const { signal } = this.#stopping;
    const standing = await this.#liveness.look();
    if (standing !== null) {
      // Perhaps for its schedule: the process that is started next writes all of them from scratch.
      const removed = this.#scheduled.removeSchedules().catch(() => undefined);
      await within(REPORT_WITHIN_MS, removed, undefined, signal);
      return `nobody has run the job ${standing.job} for ${standing.seconds} s`;
    }
    const answers = Promise.allSettled(this.#connections.map((connection) => connection.ping()));
    const areAlive = answers.then((all) => all.every(({ status }) => status === "fulfilled"));
    const patience = this.#options.liveness?.standingMs ?? ANSWERS_WITHIN_MS;
    const isAlive = await within(patience, areAlive, false, signal);
    return isAlive || signal.aborted ? null : "a connection to Redis gives no answer";
  }

  /** Never throws: whatever can be written down, the process must end. */
  async #report(why: string): Promise<void> {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const { logger, dataSource, recovery } = this.#options;
    logger.fatal({ why }, "the job workers stand although Redis answers; ending, to be started again");
    const finding = standing(why);
    // Counted even where it can't be written down.
    recovery?.onFinding?.(finding);
    const recorded = recordFinding(dataSource, null, finding).catch((error: unknown) =>
      logger.warn({ err: error }, "the reason could not be written down"),
    );
    await within(REPORT_WITHIN_MS, recorded, undefined);
  }

  async #relay(): Promise<Record<string, number>> {
    const { dataSource, logger } = this.#options;
    const numbering = numberEvents(dataSource, {
      onQuarantine: (event, error) =>
        logger.error(
          { err: error, event },
          "an event can't be relayed and is set aside: all others go on, and it is tried again",
        ),
    });
    // Each tried whatever becomes of the others: an event that stands keeps no charge from being made.
    const [numbered] = await Promise.allSettled([numbering]);
    const enqueued = await Promise.allSettled(this.#onDemand.map((queue) => queue.enqueueDue()));
    for (const tried of [numbered, ...enqueued]) if (tried.status === "rejected") throw tried.reason;
    return { numbered: numbered.status === "fulfilled" ? numbered.value : 0 };
  }
}

function standing(why: string): Finding {
  return {
    kind: "worker_standing",
    subject: "jobs",
    action: "restarted",
    detail: `The job workers of a process stood: ${why}. The process ended, to be started again`,
    evidence: { why },
    before: { running: false },
    after: { running: true },
  };
}
