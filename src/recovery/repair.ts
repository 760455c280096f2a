import type { Logger } from "pino";
import type { DataSource, QueryRunner } from "typeorm";
import { type Finding, type FindingStatus, recordFinding } from "../findings/findings-log.js";
import type { HorizonClient } from "../horizon/client.js";
import { whyAway } from "../horizon/condition.js";
import { HorizonError, type HorizonErrorKind } from "../horizon/errors.js";
import { LockUnavailableError } from "../locks/redlock-adapter.js";
import type { Lockable, SessionLocks } from "../locks/session-locks.js";
import { isDatabaseAway, isOutwaited } from "../postgres/database-errors.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import type { RedisClient } from "../redis/client.js";

export type RecoveryParts = {
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  readonly horizon: HorizonClient;
  /** The network that Horizon must serve: another one knows none of our transactions. */
  readonly passphrase: string;
  readonly locks: SessionLocks;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** How long something may stand before it is looked at, in seconds: longer than any submission or restart of a server takes. */
  readonly afterSeconds: number;
  /** Entries delivered more often are left to the consumers, who move them to the dead letters. */
  readonly maxDeliveries: number;
  /** Pages of Horizon read for one account's searches in one run, at the most; 200 by default. */
  readonly pages?: number;
  /** Called for each finding, once. */
  readonly onFinding?: (finding: Finding) => void;
};

/** One run: what it is given, and what it has found so far. */
export type Run = RecoveryParts & {
  readonly id: string;
  /** Look, and say what would be done. */
  readonly dryRun: boolean;
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
  const attempt = async (runner: QueryRunner) => {
    const finding = await work(runner);
    if (run.dryRun) throw new RehearsedError(finding);
    if (finding === null) return null;
    return { finding, status: await recordFinding(runner, run.id, finding) };
  };
  try {
    const done = await inSerializableTransaction(run.dataSource, attempt, { signal });
    return done && note(run, done.finding, done.status);
  } catch (error) {
    if (error instanceof RehearsedError) return error.finding && note(run, error.finding, "new");
    throw error;
  }
}

/** Adds a finding to what the run has found, and reports it where it is new. */
export function note(run: Run, finding: Finding, status: FindingStatus): Finding | null {
  // A person has dealt with just this, and said so.
  if (status === "closed") return null;
  run.findings.push(finding);
  const { kind, subject, action, detail } = finding;
  const isForPerson = action === "needs_person";
  const level = status === "known" ? "debug" : isForPerson ? "error" : "warn";
  const facts = { kind, subject, action, dryRun: run.dryRun, ...(isForPerson && { alarm: true }) };
  run.logger[level](facts, `recovery: ${detail}`);
  if (!run.dryRun && status === "new") run.onFinding?.(finding);
  return finding;
}

/** Leaves a session for the next run. */
export function leave(run: Run, { id }: { readonly id: string }, why: string): void {
  run.waiting++;
  run.logger.info({ session: id, why }, "recovery: a session is left for the next run");
}

/** Runs `work` under the session's lock. Where a consumer or another recovery holds it, the next run looks again. */
export async function withSession<T>(
  run: Run,
  session: Lockable,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | null> {
  return run.locks.hold([session], async ({ contended, signal }) => {
    if (contended.has(session.id)) {
      run.waiting++;
      return null;
    }
    return work(AbortSignal.any([signal, run.signal]));
  });
}

/** A repair under the session's lock that needs nothing before it. */
export async function repairSession(
  run: Run,
  session: Lockable,
  work: (runner: QueryRunner) => Promise<Finding | null>,
): Promise<void> {
  await withSession(run, session, (signal) => repair(run, work, signal));
}

/** Horizon as a whole, perhaps: the next question would fare no better. */
const AWAY: readonly HorizonErrorKind[] = ["rate_limited", "unavailable", "timeout", "network"];

/** Items that may end by waiting for too long, whatever else answers: each costs a time-out, and a run must end. */
const MOST_OUTWAITED = 5;

/** Whom the work asks, and what ends it. */
export type Asking = { readonly horizon: HorizonClient; readonly signal: AbortSignal };

/**
 * Does `work` for each item. One that fails keeps no other from being looked at: it would stand in front of them in
 * every run. Where a server is away for all of them, the rest is left at once.
 * @throws the outage; or, once all were tried, an Error that says how many failed and why the first did
 */
export async function eachOf<T>(
  asking: Asking,
  items: Iterable<T>,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const failures: unknown[] = [];
  let [looked, outwaited] = [0, 0];
  for (const item of items) {
    looked++;
    try {
      await work(item);
    } catch (error) {
      asking.signal.throwIfAborted();
      if (mayBeOutage(error) && ++outwaited > MOST_OUTWAITED) throw error;
      if (await isOutage(asking, error)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (failures.length === 0) return;
  const why = first instanceof Error ? first.message : String(first);
  throw new Error(`${failures.length} of ${looked} could not be looked at: ${why}`, { cause: first });
}

/** A row that somebody keeps locked, a page that Horizon never sends: one of them is no outage, many may be. */
function mayBeOutage(error: unknown): boolean {
  return isOutwaited(error) || (error instanceof HorizonError && AWAY.includes(error.kind));
}

async function isOutage({ horizon, signal }: Asking, error: unknown): Promise<boolean> {
  if (error instanceof LockUnavailableError || isDatabaseAway(error)) return true;
  if (error instanceof HorizonError && !AWAY.includes(error.kind)) return false;
  return (await whyAway(horizon, error, signal)) !== null;
}
