import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { DataSource, QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import { inSerializableTransaction } from "../entities/serializable.js";
import type { HorizonClient } from "../horizon/client.js";
import type { SessionLocks } from "../locks/session-locks.js";
import type { Finding } from "./finding.js";
import { recordFinding } from "./findings-log.js";

export type RecoveryParts = {
  readonly dataSource: DataSource;
  readonly redis: Redis;
  readonly horizon: HorizonClient;
  /** The network that Horizon must serve: another one knows none of our transactions. */
  readonly passphrase: string;
  readonly locks: SessionLocks;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** How long something may stand before it is looked at, in seconds; 300 by default. */
  readonly afterSeconds?: number;
  /** Pages of Horizon read for one account's searches in one run, at the most; 200 by default. */
  readonly pages?: number;
  /** Told of each finding. */
  readonly onFinding?: (finding: Finding) => void;
};

/** One run: what it is given, and what it has found so far. */
export type Run = RecoveryParts & {
  readonly id: string;
  /** Look, and say what would be done. */
  readonly dryRun: boolean;
  readonly afterSeconds: number;
  readonly findings: Finding[];
  /** Looked at and left for the next run. */
  waiting: number;
};

/** Undoes a rehearsal, and carries what it would have found. */
class RehearsedError extends Error {
  override readonly name = "RehearsedError";

  constructor(readonly finding: Finding | null) {
    super("rehearsed");
  }
}

/**
 * Runs a repair in one serializable transaction, together with its finding. In a dry run it is rolled back: what it
 * would have done is known exactly, and nothing of it holds.
 * @param work looks again under row locks, and returns null where there is nothing to do any more
 * @returns the finding, or null
 */
export async function repair(
  run: Run,
  work: (runner: QueryRunner) => Promise<Finding | null>,
  signal: AbortSignal = run.signal,
): Promise<Finding | null> {
  const attempt = async (runner: QueryRunner): Promise<Finding | null> => {
    const finding = await work(runner);
    if (run.dryRun) throw new RehearsedError(finding);
    if (finding !== null) await recordFinding(runner, run.id, finding);
    return finding;
  };
  try {
    return note(run, await inSerializableTransaction(run.dataSource, attempt, { signal }));
  } catch (error) {
    if (error instanceof RehearsedError) return note(run, error.finding);
    throw error;
  }
}

/** Adds a finding to what the run has found. */
export function note(run: Run, finding: Finding | null): Finding | null {
  if (finding === null) return null;
  run.findings.push(finding);
  if (!run.dryRun) run.onFinding?.(finding);
  const { kind, subject, action, detail } = finding;
  const isForPerson = action === "needs_person";
  run.logger[isForPerson ? "error" : "warn"](
    { kind, subject, action, dryRun: run.dryRun, ...(isForPerson && { alarm: true }) },
    `recovery: ${detail}`,
  );
  return finding;
}

/** Runs `work` under the session's lock. Where a consumer or another recovery holds it, the next run looks again. */
export async function withSession<T>(
  run: Run,
  id: SessionId,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | null> {
  return run.locks.hold([id], async ({ contended, signal }) => {
    if (contended.has(id)) {
      run.waiting++;
      return null;
    }
    return work(AbortSignal.any([signal, run.signal]));
  });
}
