import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
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

/** The last place an operation of the same transaction can have: 12 bits of the id are its order there (SEP-35). */
const END_OF_TRANSACTION = "(c.operation_id | 4095)";

/**
 * From the payments to their charge. A charge belongs to the range in which its transaction ends, and there its
 * payments are all settled: of a transaction that a watermark cuts in two only a part need be in the books.
 */
const OF_CHARGE_PAYMENTS = `
  SELECT ch.id, ch.status, ch.amount, sum(c.amount) AS paid,
         bool_and(c.asset IS NOT DISTINCT FROM ch.asset AND c.account IS NOT DISTINCT FROM ch.account) AS alike,
         (SELECT count(*)::int FROM outbox_events o
          WHERE o.type = 'charge.succeeded' AND o.subject = ch.id::text) AS events
  FROM charges ch
  JOIN payments p ON p.charge_id = ch.id
  JOIN credits c USING (operation_id, move_index)
  WHERE ch.id IN (
    SELECT p.charge_id FROM credits c JOIN payments p USING (operation_id, move_index)
    WHERE c.account = $1 AND c.operation_id > $2::bigint - 4096 AND c.operation_id <= $3::bigint
      AND ${END_OF_TRANSACTION} > $2 AND ${END_OF_TRANSACTION} <= $3 AND p.charge_id IS NOT NULL)
  GROUP BY ch.id
  ORDER BY ch.id`;

/** From the charge to its payments. By the merchant: that is how charges are indexed. */
const OF_CHARGES = `
  SELECT ch.id, ch.amount
  FROM receiving_accounts a JOIN charges ch ON ch.merchant_id = a.merchant_id AND ch.account = a.account
  WHERE a.account = $1 AND ch.status = 'succeeded' AND ($2::timestamptz IS NULL OR ch.ended_at > $2)
    AND NOT EXISTS (SELECT FROM payments p WHERE p.charge_id = ch.id)
    AND NOT EXISTS (SELECT FROM archived_charges a WHERE a.charge_id = ch.id)
  ORDER BY ch.id`;

/**
 * G6 in the books themselves: a charge on the network has succeeded if and only if payments point at it, which come to
 * its amount in its asset on its account, and one event says so.
 * @param since what ended before was checked by an earlier audit; null for everything
 */
export async function checkCharges(
  manager: EntityManager,
  account: AccountId,
  after: OperationId,
  through: OperationId,
  since: Date | null,
): Promise<Difference[]> {
  const ofPayments: PaidRow[] = await manager.query(OF_CHARGE_PAYMENTS, [
    account,
    after.toString(),
    through.toString(),
  ]);
  const ofCharges: { id: string; amount: string }[] = await manager.query(OF_CHARGES, [account, since]);
  return [
    ...ofPayments.flatMap(judge),
    ...ofCharges.map(({ id, amount }): Difference => {
      return { kind: "charge_unpaid", subject: id, detail: `${inUnits(amount)} by nothing` };
    }),
  ];
}

function judge({ id, status, amount, paid, alike, events }: PaidRow): Difference[] {
  const found: Difference[] = [];
  const add = (kind: Difference["kind"], detail: string) => found.push({ kind, subject: id, detail });
  if (status !== "succeeded") add("charge_not_ended", `the charge is ${status}`);
  if (BigInt(paid ?? 0) !== BigInt(amount))
    add("charge_sum", `the charge is of ${inUnits(amount)}, its payments come to ${inUnits(paid ?? "0")}`);
  else if (!alike) add("charge_sum", "its payments are in another asset or on another account");
  if (status === "succeeded" && events !== 1)
    add("charge_not_announced", `${events} charge.succeeded events`);
  return found;
}

function inUnits(stroops: string): string {
  return formatStroops(BigInt(stroops) as Stroops);
}

type PaidRow = {
  id: string;
  status: string;
  amount: string;
  /** A sum of bigint is numeric. */
  paid: string | null;
  alike: boolean;
  events: number;
};
