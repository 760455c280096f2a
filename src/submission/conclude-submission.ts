import type { DataSource } from "typeorm";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { rollBackSession } from "../settlement/end-session.js";
import { type Settlement, settle } from "../settlement/settle.js";
import type { Movement } from "../stellar/credit.js";
import type { ClaimedSubmission } from "./submissions.js";

/** What became of a session's transaction. */
export type Conclusion = "paid" | "applied_without_paying" | "rolled_back" | "unreadable";

const STATUS = `SELECT status FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE`;

const END = `
  UPDATE submissions SET ended_at = now(), leased_since = NULL WHERE hash = $1 AND ended_at IS NULL`;

/** A look that took so long that another took over says nothing about when to look next. */
const POSTPONE = `
  UPDATE submissions
  SET leased_since = NULL, next_attempt_at = now() + make_interval(secs => $3),
      last_answer = CASE WHEN $5 THEN $4 ELSE last_answer END
  WHERE hash = $1 AND attempts = $2 AND leased_since IS NOT NULL AND ended_at IS NULL`;

/**
 * It applied: what it brought is settled like any other credit, by ingest or here, whoever is first. A session that it
 * did not pay (too little came, say: its credit has its place) waits for another one.
 * @throws the database's error; safe to repeat, against ingest and recovery too
 */
export async function concludeApplied(
  dataSource: DataSource,
  { hash, sessionId }: ClaimedSubmission,
  movements: readonly Movement[],
  signal: AbortSignal,
): Promise<Conclusion> {
  const settlements = await settle(dataSource, movements, { signal });
  return inSerializableTransaction(dataSource, async (runner): Promise<Conclusion> => {
    const [session]: { status: string }[] = await runner.query(STATUS, [sessionId]);
    // It is not known whether it has paid: recovery finds the session, and asks a person.
    if (session?.status === "processing" && settlements.some(isUnreadable)) return "unreadable";
    await rollBackSession(runner, sessionId, hash, "tx_success");
    await runner.query(END, [hash]);
    return session?.status === "paid" ? "paid" : "applied_without_paying";
  });
}

/**
 * It can't pay any more: its session is pending again, and says why.
 * @param resultCode what the network said to it
 */
export async function concludeFailed(
  dataSource: DataSource,
  { hash, sessionId }: ClaimedSubmission,
  resultCode: string,
): Promise<Conclusion> {
  return inSerializableTransaction(dataSource, async (runner): Promise<Conclusion> => {
    await rollBackSession(runner, sessionId, hash, resultCode);
    await runner.query(END, [hash]);
    return "rolled_back";
  });
}

/** Its session does not wait for it any more: ingest or recovery has concluded it. */
export async function endSubmission(dataSource: DataSource, { hash }: ClaimedSubmission): Promise<void> {
  await dataSource.query(END, [hash]);
}

/**
 * Gives it back until later, where it is still ours.
 * @param answer what the network said at the door: null where it took it, undefined where it said nothing
 */
export async function postponeSubmission(
  dataSource: DataSource,
  { hash, attempt }: ClaimedSubmission,
  delayMs: number,
  answer: string | null | undefined,
): Promise<void> {
  const values = [hash, attempt, delayMs / 1_000, answer ?? null, answer !== undefined];
  await dataSource.query(POSTPONE, values);
}

function isUnreadable(settlement: Settlement): boolean {
  const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
  return outcome.kind === "exception" && outcome.reason === "unreadable";
}
