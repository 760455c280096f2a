import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { Difference, DifferenceKind } from "./difference.js";

/** From the payment to its session and its event. */
const OF_PAYMENTS = `
  SELECT p.session_id AS id, s.status, count(o.id)::int AS events
  FROM credits c
  JOIN payments p USING (operation_id, move_index)
  JOIN checkout_sessions s ON s.id = p.session_id
  LEFT JOIN outbox_events o ON o.session_id = s.id AND o.type = 'payment.confirmed'
  WHERE c.account = $1 AND c.operation_id > $2 AND c.operation_id <= $3
  GROUP BY p.session_id, s.status
  HAVING s.status <> 'paid' OR count(o.id) <> 1`;

/** From the session to its payment: what says paid although nothing has paid it. Every session is looked at. */
const OF_SESSIONS = `
  SELECT s.id, s.status, s.paid_at
  FROM checkout_sessions s
  WHERE s.account = $1 AND s.status = 'paid' AND NOT EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id)`;

/** The same of those that an earlier audit has not seen, as the list of what contradicts itself has them. */
const OF_NEW_SESSIONS = `
  SELECT s.id, s.status, s.paid_at
  FROM unsettled_sessions u JOIN checkout_sessions s ON s.id = u.session_id
  WHERE u.account = $1 AND u.status = 'paid' AND s.status = 'paid' AND s.paid_at > $2::timestamptz
    AND NOT EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id)`;

/** From the event to the payment. */
const OF_EVENTS = `
  SELECT o.session_id AS id
  FROM outbox_events o JOIN checkout_sessions s ON s.id = o.session_id
  WHERE s.account = $1 AND o.type = 'payment.confirmed' AND ($2::timestamptz IS NULL OR o.created_at > $2)
    AND NOT EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = o.session_id)`;

/**
 * G2 in the books themselves: a session is paid if and only if exactly one payment points at it, and then one
 * event says so.
 * @param since what was paid before was checked by an earlier audit; null for everything
 */
export async function checkSessions(
  manager: EntityManager,
  account: AccountId,
  after: OperationId,
  through: OperationId,
  since: Date | null,
): Promise<Difference[]> {
  const range = [account, after.toString(), through.toString()];
  const ofPayments: { id: string; status: string; events: number }[] = await manager.query(
    OF_PAYMENTS,
    range,
  );
  const ofSessions: { id: string; paid_at: Date }[] = await (since === null
    ? manager.query(OF_SESSIONS, [account])
    : manager.query(OF_NEW_SESSIONS, [account, since]));
  const ofEvents: { id: string }[] = await manager.query(OF_EVENTS, [account, since]);
  const difference = (kind: DifferenceKind, subject: string, detail: string) => ({ kind, subject, detail });
  return [
    ...ofPayments.flatMap(({ id, status, events }) => [
      ...(status === "paid" ? [] : [difference("unpaid", id, `the session is ${status}`)]),
      ...(events === 1 ? [] : [difference("not_announced", id, `${events} payment.confirmed events`)]),
    ]),
    ...ofSessions.map(({ id, paid_at }) =>
      difference("no_payment", id, `paid at ${paid_at.toISOString()} by nothing`),
    ),
    ...ofEvents.map(({ id }) =>
      difference("announced_unpaid", id, "announced as paid, and nothing has paid it"),
    ),
  ];
}
