import type { Telemetry } from "bullmq";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { RedisClient } from "../redis/client.js";

/** All of BullMQ's keys, in one hash tag, as a Redis Cluster needs it. */
export const PREFIX = "{paidonce:jobs}";

/** A hash that counts, for each scheduled job, its signs of life: when it begins, while it runs, and when it ends, in any replica. */
export const RUNS_KEY = `${PREFIX}:runs`;

/** Scheduled work that may take its time. */
export const MAINTENANCE_QUEUE = "maintenance";

/** Outbox to deliveries, every second: a queue of its own, so that maintenance can't hold it up. */
export const RELAY_QUEUE = "relay";

/** The hourly audit: it reads Horizon page by page, and must hold up nothing else. */
export const AUDIT_QUEUE = "audit";

/** Recovery: it asks Horizon too, and must not wait for an audit. */
export const RECOVERY_QUEUE = "recovery";

/** Whether receiving accounts can be paid: it asks Horizon, and must not wait for an audit. */
export const RECEIVING_QUEUE = "receiving";

/** Signed transactions of sessions: sent and asked for, every second. */
export const SUBMISSION_QUEUE = "submissions";

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
};
