import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { Agent } from "undici";
import { auditNew } from "../audit/audit-each.js";
import { within } from "../backoff.js";
import { preparePartitions } from "../history/prepare-partitions.js";
import type { HorizonClient } from "../horizon/client.js";
import { onRelayNotification } from "../outbox/notify-relay.js";
import { numberEvents } from "../outbox/number-events.js";
import { recover } from "../recovery/recover.js";
import type { RecoveryParts } from "../recovery/repair.js";
import type { RedisClient } from "../redis/client.js";
import { expireSessions } from "../settlement/expire-sessions.js";
import { deliveryBooks } from "../webhooks/deliver.js";
import { type EndpointRules, giveUpDeliveries } from "../webhooks/endpoints.js";
import { guardedAgent } from "../webhooks/guarded-agent.js";
import type { UrlPolicy } from "../webhooks/public-address.js";
import { type ChargeOptions, ChargeQueue } from "./charge-queue.js";
import { checkReceivingAccounts } from "./check-receiving-accounts.js";
import { followDueSubmissions } from "./follow-due-submissions.js";
import { forgetIdempotencyKeys } from "./forget-idempotency-keys.js";
import type { ScheduledRuns } from "./liveness.js";
import {
  AUDIT_QUEUE,
  MAINTENANCE_QUEUE,
  type QueueContext,
  RECEIVING_QUEUE,
  RECOVERY_QUEUE,
  RELAY_QUEUE,
  SUBMISSION_QUEUE,
} from "./queue.js";
import { type ScheduledJob, ScheduledQueue } from "./scheduled-queue.js";
import { WebhookQueue } from "./webhook-queue.js";

export type EngineOptions = {
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
};

/** How long a stop waits for Redis to take note of what was in hand; without it, it is done once more. */
const FINISH_WITHIN_MS = 14_000;
const GIVE_UP_AFTER_MS = 2_500;

export type Recovering = Pick<
  RecoveryParts,
  "passphrase" | "locks" | "redis" | "afterSeconds" | "maxDeliveries" | "onFinding"
> & {
  /** Seconds from one run to the next. */
  readonly everySeconds: number;
};

/** All queues of one process with their connections. Stopped once, it is done with: a new one takes its place. */
export class JobEngine {
  /** For liveness. */
  readonly scheduled: readonly ScheduledRuns[];
  readonly #logger: Logger;
  readonly #connections: readonly RedisClient[];
  readonly #agent: Agent;
  readonly #listen: () => void;
  readonly #stopping = new AbortController();
  readonly #webhooks: WebhookQueue;
  readonly #charges: ChargeQueue | null;
  readonly #scheduled: readonly ScheduledQueue[];

  constructor(options: EngineOptions) {
    const { dataSource, logger, horizon, rescheduleMs, sayAliveMs, webhookTimeoutMs, telemetry } = options;
    this.#logger = logger;
    const [forQueues, forWorkers, forBell] = [
      options.connect("paidonce-queue"),
      options.connect("paidonce-work"),
      options.connect("paidonce-bell"),
    ];
    this.#connections = [forQueues, forWorkers, forBell];
    this.#listen = () => onRelayNotification(forBell, () => this.#relay(dataSource));
    const context: QueueContext = { dataSource, logger, forQueues, forWorkers, telemetry };
    this.#agent = guardedAgent(options.webhooks ?? { allowPrivate: false });
    this.#webhooks = new WebhookQueue({
      ...context,
      books: deliveryBooks(dataSource, options.webhooks?.secretKeys),
      dispatcher: this.#agent,
      ...(webhookTimeoutMs && { timeoutMs: webhookTimeoutMs }),
    });
    const { charges } = options;
    const inCharge = charges === undefined ? null : new ChargeQueue({ ...context, ...charges });
    this.#charges = inCharge;
    const every = (ms: number) => options.everyMs ?? ms;
    const queues: Record<string, Readonly<Record<string, ScheduledJob>>> = {
      [RELAY_QUEUE]: {
        /** Events get their place and their deliveries; deliveries and charges that are due get their jobs. */
        relay: { every: every(1_000), level: "debug", run: () => this.#relay(dataSource) },
      },
      [MAINTENANCE_QUEUE]: {
        /** Sessions past their time. */
        expiry: { every: every(60_000), run: async () => ({ expired: await expireSessions(dataSource) }) },
        /** Idempotency keys that are promised no longer. */
        forgetting: {
          every: every(3_600_000),
          run: async () => ({ forgotten: await forgetIdempotencyKeys(dataSource) }),
        },
        /** What waits for webhook endpoints that were deleted. */
        deleted_endpoints: {
          every: every(60_000),
          run: async () => ({ given_up: await giveUpDeliveries(dataSource) }),
        },
        /** The next months' partitions of the history. */
        partitions: { every: every(3_600_000), run: () => preparePartitions(dataSource) },
        ...(inCharge && {
          /** Charges that a dead worker held. */
          charge_sweep: { every: every(5_000), run: async () => ({ swept: await inCharge.sweep() }) },
        }),
      },
    };
    if (horizon !== undefined) {
      const { signal } = this.#stopping;
      queues[AUDIT_QUEUE] = {
        /** G1 to G3 of what is new since the last audit that found nothing. */
        audit: {
          every: every(3_600_000),
          run: () => auditNew({ dataSource, horizon: horizon.withPurpose("audit"), signal }, logger),
        },
      };
      queues[RECEIVING_QUEUE] = {
        /** Whether receiving accounts can be paid. */
        receiving: {
          every: every(60_000),
          level: "debug",
          run: () => checkReceivingAccounts({ dataSource, horizon: horizon.withPurpose("check") }, signal),
        },
      };
      const { recovery } = options;
      if (recovery !== undefined) {
        const parts = { ...recovery, dataSource, horizon, logger, signal };
        queues[RECOVERY_QUEUE] = {
          /** What faults have left behind is put right. */
          recovery: { every: every(recovery.everySeconds * 1_000), run: () => this.#recover(parts) },
        };
        queues[SUBMISSION_QUEUE] = {
          /** What wallets have handed in is sent to the network, and concluded. */
          submissions: {
            every: every(1_000),
            level: "debug",
            run: () => followDueSubmissions({ ...parts, horizon: horizon.withPurpose("submission") }, signal),
          },
        };
      }
    }
    this.scheduled = Object.entries(queues).flatMap(([queue, jobs]) =>
      Object.entries(jobs).map(([job, { every }]) => ({ job, queue, every })),
    );
    this.#scheduled = Object.entries(queues).map(
      ([name, jobs]) =>
        new ScheduledQueue({
          ...context,
          name,
          jobs,
          ...(rescheduleMs && { rescheduleMs }),
          ...(sayAliveMs && { sayAliveMs }),
        }),
    );
  }

  /** @param anew the schedules in Redis are not to be trusted: they are written from scratch */
  start({ anew = false }: { readonly anew?: boolean } = {}): void {
    for (const queue of this.#onDemand) queue.start();
    for (const queue of this.#scheduled) queue.start({ anew });
    this.#listen();
  }

  /** Why nothing can come from it any more; null while it runs and its Redis answers. */
  async standsBecause(withinMs: number): Promise<string | null> {
    const ended = [...this.#onDemand, ...this.#scheduled].find((queue) => !queue.isRunning());
    if (ended !== undefined) return `the worker of queue ${ended.name} has ended`;
    const answers = this.#connections.map((connection) => connection.ping());
    const all = Promise.allSettled(answers).then((settled) =>
      settled.every(({ status }) => status === "fulfilled"),
    );
    const { signal } = this.#stopping;
    const isAlive = await within(withinMs, all, false, signal);
    return isAlive || signal.aborted ? null : "a connection to Redis gives no answer";
  }

  /**
   * Finishes what is in hand; while Redis is away it can't be finished there, and is left for a repetition.
   * @param hangs its connections give no answer: as if Redis were away
   */
  async stop(hangs = false): Promise<void> {
    // An audit can take hours; the next one goes on where this one is.
    this.#stopping.abort(new Error("the worker stops"));
    const isAway = hangs || this.#connections.some((connection) => connection.status !== "ready");
    // Commands that wait for Redis to come back would make the stop wait for it too.
    if (isAway) for (const connection of this.#connections) connection.disconnect();
    const stopped = Promise.all([...this.#onDemand, ...this.#scheduled].map((queue) => queue.stop(isAway)));
    // A cluster that lacks one master counts as there, and says nothing of the jobs that were on that one.
    await within(FINISH_WITHIN_MS, stopped, null);
    for (const connection of this.#connections) connection.disconnect();
    await within(GIVE_UP_AFTER_MS, stopped, null);
    await this.#agent.destroy();
  }

  get #onDemand(): readonly (WebhookQueue | ChargeQueue)[] {
    return this.#charges === null ? [this.#webhooks] : [this.#webhooks, this.#charges];
  }

  async #recover(parts: RecoveryParts): Promise<Record<string, number>> {
    const { findings, waiting, failures } = await recover(parts);
    return { found: findings.length, waiting, failed: Object.keys(failures).length };
  }

  async #relay(dataSource: DataSource): Promise<Record<string, number>> {
    const numbering = numberEvents(dataSource, {
      onQuarantine: (event, error) =>
        this.#logger.error(
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
