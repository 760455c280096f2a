import { v7 as uuidv7 } from "uuid";
import { type Finding, tidyUp } from "../findings/findings-log.js";
import { announceSessions, markPaidSessions, supplyPayments } from "./paid-sessions.js";
import type { RecoveryParts, Run } from "./repair.js";
import { settleProcessing } from "./settle-processing.js";
import { advanceWatermarks, relayOutbox, releaseDeliveries, sweepStreams } from "./stale.js";

/**
 * What a run looks at, each with what can cause it: first what came and was not settled, then what contradicts itself.
 * `processing`, `payments` and `sessions` are the three repairs that were asked for.
 */
const CHECKS: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  // Consumers were killed, and none is left that would take over their entries.
  streams: sweepStreams,
  // Somebody wrote to the database, or restored a part of it: the payment stands, and the session does not say so.
  sessions: markPaidSessions,
  // A role was killed after it handed the transaction in, or Horizon never said what became of it.
  processing: settleProcessing,
  // Somebody wrote to the database: the session says paid, and the payment is missing.
  payments: supplyPayments,
  // Somebody deleted the event, or restored a part of the database; an audit has found it.
  announcements: announceSessions,
  // The leader was killed before it wrote down how far consumers had come, and no other leads.
  watermarks: advanceWatermarks,
  // Redis lost the request to relay, or no worker runs.
  outbox: relayOutbox,
  // A worker was killed while it sent, and Redis lost the job by which another one would have taken over.
  deliveries: releaseDeliveries,
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
  const run: Run = { ...parts, id: uuidv7(), dryRun, findings: [], waiting: 0 };
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
