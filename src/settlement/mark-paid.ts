import type { QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import {
  type CheckoutSession,
  type SessionId,
  type SessionRow,
  sessionOfRow,
} from "../entities/checkout-session.js";
import {
  type CreditFacts,
  FACT_COLUMNS,
  type FactRow,
  factsOf,
  readArchivedEnd,
  type VerdictWord,
} from "../entities/credit.js";
import { paymentConfirmed } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import type { Asset } from "../stellar/asset.js";
import type { Credit, TransactionHash } from "../stellar/credit.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";
import { currentTrace } from "../tracing.js";
import { type DecidableSession, decide } from "./decide.js";
import { findCharges } from "./find-charges.js";
import { nameSessions } from "./find-sessions.js";
import { recordOutcomes } from "./record-outcomes.js";

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
  const [session]: Pick<CheckoutSession, "status" | "asset">[] = await runner.query(LOCK, [id]);
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
  const [session]: Pick<CheckoutSession, "status" | "asset">[] = await runner.query(LOCK, [id]);
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

/** Whether a credit became the payment that a paid session lacked. */
export type Supply =
  | { readonly kind: "supplied" }
  /** The session is not paid, or has its payment: somebody was here before. */
  | { readonly kind: "nothing_to_do" }
  /** This credit can't be it. */
  | { readonly kind: "unfit"; readonly why: string };

const LOCK_WITH_PAYMENT = `
  SELECT id, account, memo_key, asset, amount, status, expires_at, grace_seconds,
         EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id) AS has_payment
  FROM checkout_sessions s WHERE id = $1 FOR NO KEY UPDATE OF s`;

/** A write with the triggers switched off leaves the note about the payment wrong: only this statement corrects it. */
const NOTE_PAYMENT = `UPDATE checkout_sessions SET has_payment = true WHERE id = $1 AND NOT has_payment`;

/** Likewise: which payment a session has is kept by a trigger. The session has none. */
const FORGET_CLAIM = `DELETE FROM session_payments WHERE session_id = $1`;

const PLACE = `
  SELECT p.session_id AS pays, p.charge_id AS pays_charge, v.verdict
  FROM credits c LEFT JOIN payments p USING (operation_id, move_index)
    LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  WHERE c.operation_id = $1 AND c.move_index = $2`;

/**
 * Gives a session that is `paid` without a payment the credit that paid it, inside a serializable transaction: the
 * payment, the event if it is missing, and the credit itself if the books lack it. The credit is judged by `decide`
 * as if the session still waited for it; what a person has accepted needs no other judgement, and what a person has
 * refunded or dismissed can't pay any more.
 * @param credit as the network tells it, for this session by its memo or muxed id
 * @throws the database's error
 */
export async function supplyPayment(runner: QueryRunner, id: SessionId, credit: Credit): Promise<Supply> {
  const session = await lockPaidWithoutPayment(runner, id);
  if (session === null) return { kind: "nothing_to_do" };
  if (credit.operationId < (await readArchivedEnd(runner.manager)))
    return { kind: "unfit", why: "its ledger lies in the archive, which tells what it paid" };
  const [place]: Place[] = await runner.query(PLACE, [credit.operationId.toString(), credit.moveIndex]);
  if (place && place.pays !== null)
    return { kind: "unfit", why: `it is the payment of session ${place.pays}` };
  // What pays a charge names the session by accident: paid twice by one credit, one of the two is unpaid.
  const charge = (await findCharges(runner.manager, [credit], { lock: false })).of(credit);
  if (place && place.pays_charge !== null)
    return { kind: "unfit", why: `it is a payment of charge ${place.pays_charge}` };
  const verdict = place?.verdict ?? null;
  if (verdict === "refund" || verdict === "dismiss")
    return { kind: "unfit", why: `its verdict is ${verdict}` };
  // The muxed id goes before the memo, as for a live payment: what names another session is that one's.
  const named = (await nameSessions(runner.manager, [credit])).of(credit);
  if (named?.id !== id) return { kind: "unfit", why: `it names session ${named?.id}` };
  const outcome = decide({ ...session, status: "pending" }, credit, charge);
  if (outcome.kind === "charge_payment") return { kind: "unfit", why: `it pays charge ${outcome.chargeId}` };
  if (outcome.kind === "exception" && verdict !== "accept") {
    return { kind: "unfit", why: `${outcome.reason}: ${outcome.detail}` };
  }
  await runner.query(FORGET_CLAIM, [id]);
  const surplus = toStroops(credit.amount > session.amount ? credit.amount - session.amount : 0n);
  if (place !== undefined) {
    await turnIntoPayment(runner, credit, id, surplus);
    return { kind: "supplied" };
  }
  const pays = { movement: credit, outcome: { kind: "payment", sessionId: id, surplus } } as const;
  await recordOutcomes(runner, [pays], currentTrace);
  return { kind: "supplied" };
}

type Place = { pays: SessionId | null; pays_charge: ChargeId | null; verdict: VerdictWord | null };

/**
 * Locks a session.
 * @returns null unless it is `paid` and really has no payment
 */
export async function lockPaidWithoutPayment(
  runner: QueryRunner,
  id: SessionId,
): Promise<DecidableSession | null> {
  const [row]: (SessionRow & { has_payment: boolean })[] = await runner.query(LOCK_WITH_PAYMENT, [id]);
  if (row?.has_payment) await runner.query(NOTE_PAYMENT, [id]);
  return row === undefined || row.status !== "paid" || row.has_payment ? null : sessionOfRow(row);
}
