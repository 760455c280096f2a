import type { QueryRunner } from "typeorm";
import type { SessionId, SessionStatus } from "../entities/checkout-session.js";
import { type CreditFacts, FACT_COLUMNS, type FactRow, factsOf } from "../entities/credit-facts.js";
import { paymentConfirmed } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import type { Asset } from "../stellar/asset.js";
import type { TransactionHash } from "../stellar/credit.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";
import { nameSessions } from "./find-sessions.js";

/** Whether a session that has a payment is paid now. */
export type Marking =
  | { readonly kind: "marked"; readonly credit: ReadCredit }
  /** It is paid, or has no payment. */
  | { readonly kind: "nothing_to_do" }
  /** The payment is of a credit that does not name this session. */
  | { readonly kind: "unfit"; readonly why: string };

const LOCK = `
  SELECT status, asset FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE`;

const PAYMENT_OF = `
  SELECT p.surplus, ${FACT_COLUMNS} FROM payments_by_session p JOIN credits c USING (operation_id, move_index)
  WHERE p.session_id = $1`;

const MARK = `
  UPDATE checkout_sessions
  SET status = 'paid', paid_at = $2, processing_since = NULL, submitted_max_time = NULL, has_payment = true
  WHERE id = $1`;

/** A write with the triggers switched off leaves the note about the payment wrong: only this statement corrects it. */
const NOTE = `
  UPDATE checkout_sessions s SET has_payment = NOT has_payment
  WHERE id = $1 AND has_payment <> EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id)`;

/**
 * Makes a session `paid` whose payment is there, with the event if it is missing, inside a serializable transaction.
 * Safe to repeat, and against consumers: the payment stands, and only one session row can be locked.
 */
export async function markPaid(runner: QueryRunner, id: SessionId): Promise<Marking> {
  const [session]: SessionRow[] = await runner.query(LOCK, [id]);
  const [payment]: PaymentRow[] = await runner.query(PAYMENT_OF, [id]);
  await runner.query(NOTE, [id]);
  if (session === undefined || payment === undefined || session.status === "paid") {
    return { kind: "nothing_to_do" };
  }
  const credit = readCreditOf(payment, id);
  const { asset, closedAt } = credit;
  const told = { ...credit, kind: "credit", innerHash: null, record: "" } as const;
  const named = (await nameSessions(runner.manager, [told])).of(told);
  if (named?.id !== id || asset !== session.asset) {
    return { kind: "unfit", why: "its payment is of a credit that does not name it" };
  }
  await runner.query(MARK, [id, closedAt.toISOString()]);
  await announce(runner, id, credit, payment.surplus);
  return { kind: "marked", credit };
}

const UNTOLD = `
  SELECT p.surplus, ${FACT_COLUMNS} FROM payments_by_session p JOIN credits c USING (operation_id, move_index)
  WHERE p.session_id = $1 AND NOT EXISTS (
    SELECT FROM outbox_events o WHERE o.subject = p.session_id::text AND o.type = 'payment.confirmed')`;

/**
 * Tells the merchant of a paid session whose event is missing, inside a serializable transaction. The event is the
 * one that was missed: same id, same body.
 * @returns the credit that paid it; null where there is no payment, or it was told
 */
export async function announcePaid(runner: QueryRunner, id: SessionId): Promise<ReadCredit | null> {
  const [session]: SessionRow[] = await runner.query(LOCK, [id]);
  const [payment]: PaymentRow[] = await runner.query(UNTOLD, [id]);
  if (session?.status !== "paid" || payment === undefined) return null;
  const credit = readCreditOf(payment, id);
  await announce(runner, id, credit, payment.surplus);
  return credit;
}

async function announce(
  runner: QueryRunner,
  id: SessionId,
  credit: ReadCredit,
  surplus: string,
): Promise<void> {
  const event = paymentConfirmed(credit, id, toStroops(BigInt(surplus)));
  await recordEvent(runner, { sessionId: id, account: credit.account }, event);
}

type PaymentRow = FactRow & { surplus: string };

/** Every payment is of a credit that was read: `credits_payment_is_readable`. */
function readCreditOf(payment: PaymentRow, id: SessionId): ReadCredit {
  const credit = factsOf(payment);
  const { transactionHash, asset, amount, closedAt } = credit;
  if (transactionHash === null || asset === null || amount === null || closedAt === null) {
    throw new Error(`the payment of session ${id} was never read`);
  }
  return { ...credit, transactionHash, asset, amount, closedAt };
}

type SessionRow = { status: SessionStatus; asset: string };

/** In this order: a credit may not be a payment while an exception refers to it. */
const WITHDRAW = `DELETE FROM payment_exceptions WHERE operation_id = $1 AND move_index = $2`;
const CHANGE_OUTCOME = `UPDATE credits SET outcome = 'payment' WHERE operation_id = $1 AND move_index = $2`;
const PAY = `INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES ($1, $2, $3, $4)`;
const SETTLE = `UPDATE checkout_sessions SET status = 'paid', paid_at = $2 WHERE id = $1`;

/** A credit that can pay: everything about it was read. */
export type ReadCredit = CreditFacts & {
  readonly transactionHash: TransactionHash;
  readonly asset: Asset;
  readonly amount: Stroops;
  readonly closedAt: Date;
};

/**
 * Makes a recorded credit the payment of a session that the caller has locked, and tells its merchant. The credit
 * has exactly one place all the time (G1), and `payments_one_per_session` refuses a second one (G2).
 * @throws the database's error; by its constraint's name where one refused
 */
export async function turnIntoPayment(
  runner: QueryRunner,
  credit: ReadCredit,
  sessionId: SessionId,
  surplus: Stroops,
): Promise<void> {
  const key = [credit.operationId.toString(), credit.moveIndex];
  await runner.query(WITHDRAW, key);
  await runner.query(CHANGE_OUTCOME, key);
  await runner.query(PAY, [...key, sessionId, surplus.toString()]);
  await runner.query(SETTLE, [sessionId, credit.closedAt.toISOString()]);
  await recordEvent(
    runner,
    { sessionId, account: credit.account },
    paymentConfirmed(credit, sessionId, surplus),
  );
}
