import { v7 as uuidv7 } from "uuid";
import type { Finding } from "../findings/finding.js";
import { tidyUp } from "../findings/findings-log.js";
import { announceSessions } from "./announce-sessions.js";
import { markPaidSessions } from "./mark-paid-sessions.js";
import type { RecoveryParts, Run } from "./repair.js";
import { settleProcessing } from "./settle-processing.js";
import { forgetUnanswered, relayOutbox, releaseDeliveries } from "./stale-deliveries.js";
import { advanceWatermarks, sweepStreams } from "./stale-streams.js";
import { supplyPayments } from "./supply-payments.js";

/** Five minutes: longer than any submission is waited for, or any server is restarted. */
const AFTER_SECONDS = 300;

/** As the consumers' default. */
const MAX_DELIVERIES = 5;

/** What a run looks at, in this order: first what came and was not settled, then what contradicts itself. */
const CHECKS: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  streams: sweepStreams,
  sessions: markPaidSessions,
  processing: settleProcessing,
  payments: supplyPayments,
  announcements: announceSessions,
  watermarks: advanceWatermarks,
  outbox: relayOutbox,
  deliveries: releaseDeliveries,
  idempotency_keys: forgetUnanswered,
};

export type RecoveryReport = {
  readonly findings: readonly Finding[];
  /** Looked at and left for the next run. */
  readonly waiting: number;
  /** What could not be looked at, by the check's name: nothing was decided there. */
  readonly failures: Readonly<Record<string, string>>;
};

const BEGIN = `INSERT INTO recovery_runs (id) VALUES ($1)`;
const END = `
  UPDATE recovery_runs SET finished_at = now(), repaired = $2, waiting = $3, failures = $4 WHERE id = $1`;

/** Runs are kept for a month; those that found something, with what they found, for ever. */
const FORGET = `
  DELETE FROM recovery_runs r WHERE finished_at < now() - interval '30 days'
    AND NOT EXISTS (SELECT FROM recovery_findings f WHERE f.run_id = r.id)`;

/**
 * Looks once for everything that faults leave behind, and puts it right. Can run at once with consumers and with
 * itself; one check that fails (Horizon is away, say) does not keep the others from being made.
 * @param dryRun only says what would be done
 * @throws the signal's reason when the caller aborts, or when the database can't keep the run itself
 */
export async function recover(parts: RecoveryParts, { dryRun = false } = {}): Promise<RecoveryReport> {
  const { dataSource, signal } = parts;
  const run: Run = {
    afterSeconds: AFTER_SECONDS,
    maxDeliveries: MAX_DELIVERIES,
    ...parts,
    id: uuidv7(),
    dryRun,
    findings: [],
    waiting: 0,
  };
  if (!dryRun) {
    await dataSource.query(BEGIN, [run.id]);
    await tidyUp(dataSource.manager);
  }
  const failures: Record<string, string> = {};
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check(run);
    } catch (error) {
      signal.throwIfAborted();
      failures[name] = error instanceof Error ? error.message : String(error);
      run.logger.error(
        { err: error, check: name },
        "recovery: a check could not be made; the next run tries again",
      );
    }
  }
  const { findings, waiting } = run;
  if (!dryRun) {
    const repaired = findings.filter(({ action }) => action !== "needs_person").length;
    await dataSource.query(END, [run.id, repaired, waiting, JSON.stringify(failures)]);
    await dataSource.query(FORGET);
  }
  return { findings, waiting, failures };
}
