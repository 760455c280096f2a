import type { QueryRunner } from "typeorm";
import { aboutSession, type Facts, type Finding } from "../findings/finding.js";
import { recordFinding } from "../findings/findings-log.js";
import { decide, type Outcome } from "../settlement/decide.js";
import { rollBackSession } from "../settlement/end-session.js";
import { findCharges } from "../settlement/find-charges.js";
import { type Settlement, settle } from "../settlement/settle.js";
import { creditKeyText, type Movement } from "../stellar/credit.js";
import type { BrokenSession } from "./broken-sessions.js";
import { note, type Run, repair } from "./repair.js";

/** A session that is looked at, with what the network has said about it, under its lock. */
export type Case = {
  readonly session: BrokenSession;
  readonly evidence: Facts;
  /** Of the lock. */
  readonly signal: AbortSignal;
};

/** Makes the session pending again, unless it is paid, or another transaction is in flight for it by now. */
export async function rollBack(
  run: Run,
  { session, evidence, signal }: Case,
  resultCode: string | null,
  why: string,
): Promise<void> {
  const { id, submittedHash } = session;
  const after = { status: "pending", last_result_code: resultCode };
  await repair(
    run,
    async (runner) =>
      (await rollBackSession(runner, id, submittedHash, resultCode))
        ? findingOf(session, "rolled_back", `Session ${id} is pending again: ${why}`, evidence, after)
        : null,
    signal,
  );
}

const STILL = `
  SELECT FROM checkout_sessions
  WHERE id = $1 AND status = 'processing' AND submitted_hash IS NOT DISTINCT FROM $2 FOR NO KEY UPDATE`;

/** Leaves the session to a person, if it is still as it was. */
export async function askPerson(run: Run, { session, evidence, signal }: Case, why: string): Promise<void> {
  const { id, submittedHash } = session;
  const work = async (runner: QueryRunner) => {
    const still: unknown[] = await runner.query(STILL, [id, submittedHash]);
    if (still.length === 0) return null;
    return findingOf(session, "needs_person", `Session ${id} is processing, and ${why}`, evidence, {});
  };
  await repair(run, work, signal);
}

/**
 * Settles what came, as a consumer would, with the finding in the same transaction.
 * @returns whether the session is paid by it; or that nobody can tell, since something could not be read
 */
export async function settleCredits(
  run: Run,
  { session, evidence, signal }: Case,
  movements: readonly Movement[],
): Promise<"paid" | "unpaid" | "unreadable"> {
  const paidBy = (movement: Movement): Finding => {
    const key = creditKeyText(movement);
    const detail = `Session ${session.id} is paid: credit ${key} had come and was not settled yet`;
    return findingOf(session, "settled", detail, { ...evidence, credit: key }, { status: "paid" });
  };
  if (run.dryRun) {
    const charges = await findCharges(run.dataSource.manager, movements, { lock: false });
    const paying = movements.find(
      (credit) => credit.kind === "credit" && decide(session, credit, charges.of(credit)).kind === "payment",
    );
    if (paying !== undefined) note(run, paidBy(paying), "new");
    if (paying !== undefined) return "paid";
    return movements.some(({ kind }) => kind === "unreadable") ? "unreadable" : "unpaid";
  }
  const settlements = await settle(run.dataSource, movements, {
    signal,
    // What a consumer could not read once may be readable here: it must not pass for what did not pay.
    replay: true,
    alongside: async (runner, recorded) => {
      const paying = recorded.find(({ outcome }) => isPaymentOf(session, outcome));
      if (paying !== undefined) await recordFinding(runner, run.id, paidBy(paying.movement));
    },
  });
  const paying = settlements.find(
    (settlement) => settlement.kind === "recorded" && isPaymentOf(session, settlement.outcome),
  );
  if (paying !== undefined) note(run, paidBy(paying.movement), "new");
  if (paying !== undefined || (await isPaid(run, session))) return "paid";
  return settlements.some(isUnreadable) ? "unreadable" : "unpaid";
}

function isPaymentOf(session: BrokenSession, outcome: Outcome): boolean {
  return outcome.kind === "payment" && outcome.sessionId === session.id;
}

function isUnreadable(settlement: Settlement): boolean {
  const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
  return outcome.kind === "exception" && outcome.reason === "unreadable";
}

/** A consumer, or another recovery, may have been first. */
async function isPaid(run: Run, { id }: BrokenSession): Promise<boolean> {
  const rows: unknown[] = await run.dataSource.query(
    "SELECT FROM checkout_sessions WHERE id = $1 AND status = 'paid'",
    [id],
  );
  return rows.length > 0;
}

function findingOf(
  session: BrokenSession,
  action: Finding["action"],
  detail: string,
  evidence: Facts,
  after: Facts,
): Finding {
  const before = {
    status: session.status,
    processing_since: session.processingSince?.toISOString() ?? null,
    submitted_hash: session.submittedHash,
  };
  return aboutSession(session.id, { kind: "processing_too_long", action, detail, evidence, before, after });
}
