import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { auditNew } from "../audit/audit-each.js";
import { preparePartitions } from "../history/prepare-partitions.js";
import type { HorizonClient } from "../horizon/client.js";
import { recover } from "../recovery/recover.js";
import type { RecoveryParts } from "../recovery/repair.js";
import { expireSessions } from "../settlement/end-session.js";
import { giveUpDeliveries } from "../webhooks/endpoints.js";
import { checkReceivingAccounts } from "./check-receiving-accounts.js";
import { followDueSubmissions } from "./follow-due-submissions.js";
import type { ScheduledJob } from "./scheduled-queue.js";

export type Recovering = Pick<
  RecoveryParts,
  "passphrase" | "locks" | "redis" | "afterSeconds" | "maxDeliveries" | "onFinding"
> & {
  /** Seconds from one run to the next. */
  readonly everySeconds: number;
};

export type ScheduledParts = {
  readonly dataSource: DataSource;
  readonly logger: Logger;
  /** What audits read the network from; without it there are none. */
  readonly horizon?: HorizonClient | undefined;
  /** What recovery needs beside the above; without it there is none. */
  readonly recovery?: Recovering | undefined;
  /** Gives committed events their place, and what is due its jobs. */
  readonly relay: () => Promise<Readonly<Record<string, number>>>;
  /** Takes back charges that dead workers held; null where this worker makes no charges. */
  readonly sweepCharges: (() => Promise<number>) | null;
  /** Ends what lasts. An audit can take hours; the next one goes on where this one is. */
  readonly signal: AbortSignal;
};

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Everything that a worker does for no other reason than that time has passed. */
export function scheduledJobs(parts: ScheduledParts): Readonly<Record<string, ScheduledJob>> {
  const { dataSource, horizon, logger, recovery, relay, sweepCharges, signal } = parts;
  const jobs: Record<string, ScheduledJob> = {
    /** Events get their place and their deliveries; deliveries and charges that are due get their jobs. */
    relay: { every: 1_000, level: "debug", run: relay },
    /** Sessions past their time. */
    expiry: { every: MINUTE, run: async () => ({ expired: await expireSessions(dataSource) }) },
    /** Idempotency keys that are promised no longer. */
    forgetting: { every: HOUR, run: async () => ({ forgotten: await forgetIdempotencyKeys(dataSource) }) },
    /** What waits for webhook endpoints that were deleted. */
    deleted_endpoints: { every: MINUTE, run: async () => ({ given_up: await giveUpDeliveries(dataSource) }) },
    /** The next months' partitions of the history. */
    partitions: { every: HOUR, run: () => preparePartitions(dataSource) },
  };
  if (sweepCharges !== null) {
    /** Charges that a dead worker held. */
    jobs.charge_sweep = { every: 5_000, run: async () => ({ swept: await sweepCharges() }) };
  }
  if (horizon === undefined) return jobs;
  /** G1 to G3 of what is new since the last audit that found nothing. */
  jobs.audit = {
    every: HOUR,
    run: () => auditNew({ dataSource, horizon: horizon.withPurpose("audit"), signal }, logger),
  };
  /** Whether receiving accounts can be paid. */
  jobs.receiving = {
    every: MINUTE,
    level: "debug",
    run: () => checkReceivingAccounts({ dataSource, horizon: horizon.withPurpose("check") }, signal),
  };
  if (recovery === undefined) return jobs;
  const asking = { ...recovery, dataSource, horizon, logger, signal };
  /** What faults have left behind is put right. */
  jobs.recovery = {
    every: recovery.everySeconds * 1_000,
    run: async () => {
      const { findings, waiting, failures } = await recover(asking);
      return { found: findings.length, waiting, failed: Object.keys(failures).length };
    },
  };
  /** What wallets have handed in is sent to the network, and concluded. */
  jobs.submissions = {
    every: 1_000,
    level: "debug",
    run: () => followDueSubmissions({ ...asking, horizon: horizon.withPurpose("submission") }, signal),
  };
  return jobs;
}

/** Rows deleted by one statement, at the most: locks stay short. */
const FORGOTTEN_AT_ONCE = 5_000;

/** Keys are promised for 24 h; a retry that comes later is a new request. What somebody has locked is left for the next run. */
const FORGET = `
  WITH old AS (
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT ${FORGOTTEN_AT_ONCE} FOR UPDATE SKIP LOCKED
  ), forgotten AS (
    DELETE FROM idempotency_keys k USING old WHERE k.ctid = old.ctid RETURNING 1
  )
  SELECT count(*)::integer AS count FROM forgotten`;

/** Deletes the idempotency keys whose time is over. @returns how many */
export async function forgetIdempotencyKeys(dataSource: DataSource): Promise<number> {
  let forgotten = 0;
  for (;;) {
    const [{ count }]: [{ count: number }] = await dataSource.query(FORGET);
    forgotten += count;
    if (count < FORGOTTEN_AT_ONCE) return forgotten;
  }
}
