import type { DataSource, QueryRunner } from "typeorm";
import { checkpoint } from "../checkpoints.js";
import type { SessionId } from "../entities/checkout-session.js";
import { databaseFault, violatedConstraint } from "../postgres/database-errors.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { onStandby } from "../postgres/strict-client.js";
import {
  type Credit,
  compareKeys,
  creditKeyText,
  type Movement,
  type Unreadable,
} from "../stellar/credit.js";
import { currentTrace, type TraceParent } from "../tracing.js";
import { type DecidableCharge, type DecidableSession, decide, type Outcome } from "./decide.js";
import { expireOverdue } from "./end-session.js";
import { findCharges } from "./find-charges.js";
import { lockSessions, nameSessions } from "./find-sessions.js";
import { forgetUnreadable } from "./read-exceptions.js";
import { type RecordedOutcome, readRecorded, setArchivedAside } from "./read-recorded.js";
import { type DecidedMovement, recordOutcomes } from "./record-outcomes.js";

/** What became of one movement. */
export type Settlement =
  | { readonly kind: "recorded"; readonly movement: Movement; readonly outcome: Outcome }
  /** It was there already: redelivered, or committed by an earlier try whose answer was lost. */
  | { readonly kind: "redelivered"; readonly movement: Movement; readonly recorded: RecordedOutcome };

export type SettleOptions = {
  /** Aborts before COMMIT: the lock on the sessions was lost, or the process stops. */
  readonly signal?: AbortSignal;
  readonly onConflict?: (error: unknown) => void;
  /** The trace that brought a movement; by default the one that is open now. */
  readonly traceOf?: (movement: Movement) => TraceParent | null;
  /** A replay: credits recorded as `unreadable` are taken back and decided anew, in the same transaction. */
  readonly replay?: boolean;
  /** Writes what belongs to the same truth, in the same transaction, once credits were recorded in it. */
  readonly alongside?: (runner: QueryRunner, recorded: readonly DecidedMovement[]) => Promise<void>;
};

/**
 * Settles movements of value: each ends as exactly one payment or exception, every session that a credit pays is
 * `paid` and every charge that it pays has succeeded, with one event, all committed together (G1, G2, G6). Safe to call again with
 * the same movements, from anywhere, at any time.
 *
 * A movement that Postgres refuses is found by halving the batch and recorded alone as `unreadable`, so
 * that it can't keep its neighbours from being settled.
 *
 * @param movements any order, repetitions allowed
 * @returns one settlement per distinct movement
 * @throws when the database is unavailable, the signal aborted, or conflicts did not end: nothing is lost,
 *   call again
 */
export async function settle(
  dataSource: DataSource,
  movements: readonly Movement[],
  options: SettleOptions = {},
): Promise<Settlement[]> {
  const distinct = [...new Map(movements.map((movement) => [creditKeyText(movement), movement])).values()];
  distinct.sort(compareKeys);
  return settleByHalves(dataSource, distinct, options);
}

async function settleByHalves(
  dataSource: DataSource,
  movements: readonly Movement[],
  options: SettleOptions,
): Promise<Settlement[]> {
  const [first] = movements;
  if (first === undefined) return [];
  try {
    return await settleTogether(dataSource, movements, options, new Set());
  } catch (error) {
    const fault = databaseFault(error);
    if (fault === "unavailable" || options.signal?.aborted) throw error;
    if (violatedConstraint(error) === "credits_not_archived") {
      const { archived, others } = await setArchivedAside(dataSource.manager, movements);
      if (archived.length > 0)
        return [...archived.map(asArchived), ...(await settleByHalves(dataSource, others, options))];
    }
    if (movements.length === 1) {
      if (fault === "conflict") throw error;
      return settleAlone(dataSource, first, error, options);
    }
    const half = movements.length >> 1;
    const left = await settleByHalves(dataSource, movements.slice(0, half), options);
    return [...left, ...(await settleByHalves(dataSource, movements.slice(half), options))];
  }
}

function asArchived(movement: Movement): Settlement {
  return { kind: "redelivered", movement, recorded: { kind: "archived" } };
}

/** The last resort for one movement that was refused: the constraint says what it is, or it is unreadable. */
async function settleAlone(
  dataSource: DataSource,
  movement: Movement,
  refusal: unknown,
  options: SettleOptions,
): Promise<Settlement[]> {
  if (movement.kind === "unreadable") throw refusal;
  if (violatedConstraint(refusal) === "payments_one_per_session") {
    // The session has a payment although its status says otherwise: this credit is a second one.
    const sessions = await nameSessions(dataSource.manager, [movement]);
    return settleTogether(dataSource, [movement], options, new Set(sessions.ids()));
  }
  return settleTogether(dataSource, [asUnreadable(movement, refusal)], options, new Set());
}

/**
 * Postgres tells who read what by index pages, not by keys: while tables are small, every acceptance of a transaction
 * conflicts with every batch, and the batch, which takes longer, loses. Without this a merchant who charges all the time
 * would keep all credits from being settled.
 */
async function holdBackAcceptance(runner: QueryRunner): Promise<void> {
  await runner.query("SET LOCAL lock_timeout = '300ms'");
  await runner.query("LOCK TABLE submissions IN SHARE ROW EXCLUSIVE MODE");
  await runner.query("SET LOCAL lock_timeout = 0");
}

async function settleTogether(
  dataSource: DataSource,
  movements: readonly Movement[],
  options: SettleOptions,
  paidAlready: ReadonlySet<SessionId>,
): Promise<Settlement[]> {
  const known = new Set<string>();
  for (;;) {
    const unknown = movements.filter((movement) => !known.has(creditKeyText(movement)));
    try {
      const decided = await inSerializableTransaction(
        dataSource,
        (runner) => decideAndRecord(runner, unknown, options, paidAlready),
        { ...options, holdBackOthers: holdBackAcceptance },
      );
      return await withRedeliveries(dataSource, movements, decided);
    } catch (error) {
      if (!(error instanceof AlreadyRecordedError)) throw error;
      for (const key of error.keys) known.add(key);
    }
  }
}

/** @returns what this transaction recorded; the rest was there before */
async function decideAndRecord(
  runner: QueryRunner,
  movements: readonly Movement[],
  { replay = false, traceOf = currentTrace, alongside }: SettleOptions,
  paidAlready: ReadonlySet<SessionId>,
): Promise<DecidedMovement[]> {
  if (movements.length === 0) return [];
  if (replay) await forgetUnreadable(runner, movements);
  const sessions = await lockSessions(runner.manager, movements);
  await checkpoint("settlement.after-session-lock");
  const charges = await findCharges(runner.manager, movements, { lock: true });
  const named = (credit: Credit) => ({ session: sessions.of(credit), charge: charges.of(credit) });
  const decided = decideInOrder(movements, named, paidAlready);
  await expireOverdue(runner, overdueOf(decided, sessions.all()));
  const fresh = await recordOutcomes(runner, decided, traceOf);
  await checkpoint("settlement.after-write");
  const stale = decided.filter(({ movement }) => !fresh.has(creditKeyText(movement)));
  // A credit that was recorded before has just been decided to pay, and its neighbours were decided on that
  // belief: a second credit of its session may be called a duplicate of a payment that does not happen. What pays a
  // charge changes nothing for its neighbours.
  if (stale.some(({ outcome }) => outcome.kind === "payment")) {
    throw new AlreadyRecordedError(stale.map(({ movement }) => creditKeyText(movement)));
  }
  const recorded = decided.filter(({ movement }) => fresh.has(creditKeyText(movement)));
  if (recorded.length > 0) await alongside?.(runner, recorded);
  return recorded;
}

/** The pending sessions that credits have come too late for, and that none of the batch pays: they are over. */
function overdueOf(
  decided: readonly DecidedMovement[],
  sessions: readonly DecidableSession[],
): DecidableSession[] {
  const [late, paid] = [new Set<SessionId>(), new Set<SessionId>()];
  for (const { outcome } of decided) {
    if (outcome.kind === "payment") paid.add(outcome.sessionId);
    if (outcome.kind !== "exception" || outcome.reason !== "late") continue;
    if (outcome.sessionId !== null) late.add(outcome.sessionId);
  }
  return sessions.filter(({ id, status }) => status === "pending" && late.has(id) && !paid.has(id));
}

/** Decides a batch in the network's order: a session paid by one credit is paid for all that follow. */
function decideInOrder(
  movements: readonly Movement[],
  named: (credit: Credit) => { session: DecidableSession | null; charge: DecidableCharge | null },
  paidAlready: ReadonlySet<SessionId>,
): DecidedMovement[] {
  const paid = new Set(paidAlready);
  return movements.map((movement) => {
    if (movement.kind === "unreadable") {
      return {
        movement,
        outcome: { kind: "exception", reason: "unreadable", sessionId: null, detail: movement.why },
      };
    }
    const { session, charge } = named(movement);
    const outcome = decide(
      session !== null && paid.has(session.id) ? { ...session, status: "paid" } : session,
      movement,
      charge,
    );
    if (outcome.kind === "payment") paid.add(outcome.sessionId);
    return { movement, outcome };
  });
}

async function withRedeliveries(
  dataSource: DataSource,
  movements: readonly Movement[],
  decided: readonly DecidedMovement[],
): Promise<Settlement[]> {
  const settlements: Settlement[] = decided.map((entry) => ({ kind: "recorded", ...entry }));
  if (decided.length === movements.length) return settlements;
  const fresh = new Set(decided.map(({ movement }) => creditKeyText(movement)));
  const redelivered = movements.filter((movement) => !fresh.has(creditKeyText(movement)));
  const recorded = await readRecorded(dataSource.manager, redelivered);
  for (const movement of redelivered) {
    const outcome = recorded.get(creditKeyText(movement));
    if (outcome === undefined)
      throw new Error(`credit ${creditKeyText(movement)} is neither new nor recorded`);
    settlements.push({ kind: "redelivered", movement, recorded: outcome });
  }
  // The caller deletes the entry when it gets `redelivered`. So first make sure that the row has reached the standby.
  // A transaction that recorded something has waited for the standby already, with all that it has found.
  if (decided.length === 0) await onStandby(dataSource.manager);
  return settlements;
}

function asUnreadable(movement: Movement, refusal: unknown): Unreadable {
  return {
    kind: "unreadable",
    operationId: movement.operationId,
    moveIndex: movement.moveIndex,
    account: movement.account,
    transactionHash: movement.transactionHash,
    why: `the database refused it: ${withoutNul(refusal instanceof Error ? refusal.message : String(refusal))}`,
    record: withoutNul(movement.record),
  };
}

/** Postgres text can't hold U+0000: the very thing that made a record unreadable must not do so again. */
function withoutNul(text: string): string {
  return text.replaceAll("\u0000", "\uFFFD");
}

class AlreadyRecordedError extends Error {
  override readonly name = "AlreadyRecordedError";

  constructor(readonly keys: readonly string[]) {
    super("a credit of the batch was recorded before");
  }
}
