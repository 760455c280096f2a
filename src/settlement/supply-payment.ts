import type { QueryRunner } from "typeorm";
import { readArchivedEnd } from "../entities/archived-end.js";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { VerdictWord } from "../entities/credit-facts.js";
import type { Credit } from "../stellar/credit.js";
import { toStroops } from "../stellar/stroops.js";
import { currentTrace } from "../tracing.js";
import { type DecidableSession, decide } from "./decide.js";
import { findCharges } from "./find-charges.js";
import { nameSessions, type SessionRow, sessionOfRow } from "./find-sessions.js";
import { turnIntoPayment } from "./mark-paid.js";
import { recordOutcomes } from "./record-outcomes.js";

/** Whether a credit became the payment that a paid session lacked. */
export type Supply =
  | { readonly kind: "supplied" }
  /** The session is not paid, or has its payment: somebody was here before. */
  | { readonly kind: "nothing_to_do" }
  /** This credit can't be it. */
  | { readonly kind: "unfit"; readonly why: string };

const LOCK = `
  SELECT id, account, memo_key, asset, amount, status, expires_at, grace_seconds,
         EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id) AS has_payment
  FROM checkout_sessions s WHERE id = $1 FOR NO KEY UPDATE OF s`;

/** A write with the triggers switched off leaves the note about the payment wrong: only this statement corrects it. */
const NOTE = `UPDATE checkout_sessions SET has_payment = true WHERE id = $1 AND NOT has_payment`;

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
  const [row]: (SessionRow & { has_payment: boolean })[] = await runner.query(LOCK, [id]);
  if (row?.has_payment) await runner.query(NOTE, [id]);
  return row === undefined || row.status !== "paid" || row.has_payment ? null : sessionOfRow(row);
}
