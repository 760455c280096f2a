import type { QueryRunner } from "typeorm";
import type { SessionStatus } from "../entities/checkout-session.js";
import type { VerdictWord } from "../entities/credit.js";
import { exceptionDecided } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import { violatedConstraint } from "../postgres/database-errors.js";
import { type CreditKey, creditKeyText } from "../stellar/credit.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";
import { turnIntoPayment } from "./mark-paid.js";
import { type ExceptionRecord, readException } from "./read-exceptions.js";

export type VerdictRequest = {
  readonly key: CreditKey;
  readonly verdict: VerdictWord;
  /** Why, 1 to 1000 characters. */
  readonly note: string;
  /** An API key's prefix, or `operator:<user>`. */
  readonly decidedBy: string;
  /** Null for the operator, who may decide for everybody. */
  readonly merchantId: string | null;
};

/** `unknown`: no such exception; `decided`: another verdict stands; `refused`: this one can't be given. */
export class VerdictRefusedError extends Error {
  override readonly name = "VerdictRefusedError";

  constructor(
    readonly kind: "unknown" | "decided" | "refused",
    message: string,
  ) {
    super(message);
  }
}

/**
 * Two at once: the second one can't see the first one's row and can't insert beside it, so that Postgres refuses
 * to serialize it; run again, it sees the verdict.
 */
const RECORD = `
  INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
  SELECT e.operation_id, e.move_index, $3, e.reason, e.session_id, e.detail, e.raised_at, $4, $5
  FROM payment_exceptions e WHERE e.operation_id = $1 AND e.move_index = $2
  ON CONFLICT ON CONSTRAINT verdicts_one_per_credit DO NOTHING`;

/** The lock that consumers take too: a session has one payment, whoever settles it. */
const LOCK_SESSION = `SELECT status, amount FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE`;

/**
 * Decides about an exception, inside a serializable transaction. `accept` makes the credit the payment of its
 * session, as if it had come in time and in full (G1 and G2 hold: the credit changes its place, it has one all the
 * time). `refund` records that the money is owed to its sender; `dismiss`, that nothing is to be done.
 *
 * The same verdict again changes nothing: the first one's note stands.
 * @throws VerdictRefusedError
 */
export async function giveVerdict(runner: QueryRunner, request: VerdictRequest): Promise<void> {
  const { key, verdict, note, decidedBy, merchantId } = request;
  const exception = await readException(runner.manager, merchantId, key);
  if (exception === null) {
    throw new VerdictRefusedError("unknown", `There is no exception ${creditKeyText(key)}.`);
  }
  if (exception.verdict !== null) {
    if (exception.verdict.verdict === verdict) return;
    throw new VerdictRefusedError(
      "decided",
      `The verdict on this exception is ${exception.verdict.verdict}, and stays so.`,
    );
  }
  if (verdict !== "dismiss" && exception.reason === "unreadable") {
    throw new VerdictRefusedError("refused", "Nobody could read this credit: what came is not known.");
  }
  const surplus = verdict === "accept" ? await surplusOver(runner, exception) : null;
  await runner.query(RECORD, [...keyValues(key), verdict, note, decidedBy]);
  await recordEvent(runner, exception, exceptionDecided(exception, verdict, decidedBy));
  if (surplus !== null) await settleBy(runner, exception, surplus);
}

/**
 * Locks the session.
 * @returns what the credit brings beyond the session's amount; nothing where it is short
 */
async function surplusOver(runner: QueryRunner, exception: ExceptionRecord): Promise<Stroops> {
  const { reason, sessionId, amount } = exception;
  if ((reason !== "late" && reason !== "underpaid") || sessionId === null || amount === null) {
    throw new VerdictRefusedError(
      "refused",
      `Only what came late or short for a session can be accepted; this is ${reason}.`,
    );
  }
  const [session]: { status: SessionStatus; amount: string }[] = await runner.query(LOCK_SESSION, [
    sessionId,
  ]);
  if (session === undefined) throw new Error(`session ${sessionId} of an exception is not there`);
  if (session.status === "paid") throw paidAlready();
  if (session.status === "processing") {
    throw new VerdictRefusedError("refused", "Another payment of this session is on its way. Wait for it.");
  }
  const due = BigInt(session.amount);
  return toStroops(amount > due ? amount - due : 0n);
}

async function settleBy(runner: QueryRunner, exception: ExceptionRecord, surplus: Stroops): Promise<void> {
  const { sessionId, transactionHash, asset, amount, closedAt } = exception;
  if (!sessionId || !transactionHash || !asset || amount === null || closedAt === null) {
    throw new Error(`the accepted credit ${creditKeyText(exception)} was never read`);
  }
  try {
    await turnIntoPayment(
      runner,
      { ...exception, transactionHash, asset, amount, closedAt },
      sessionId,
      surplus,
    );
  } catch (error) {
    // G2, whatever the session's status said.
    throw violatedConstraint(error) === "payments_one_per_session" ? paidAlready() : error;
  }
}

function paidAlready(): VerdictRefusedError {
  return new VerdictRefusedError("refused", "The session is paid by another credit: refund this one.");
}

function keyValues(key: CreditKey): [string, number] {
  return [key.operationId.toString(), key.moveIndex];
}
