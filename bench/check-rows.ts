import type { DataSource } from "typeorm";

/** What must be in the books afterwards. */
export type Expected = { readonly credits: number; readonly payments: number };

/** Everything is counted from the rows themselves; `astray` is money that pays what it was not sent for. */
const COUNT = `
  SELECT
    (SELECT count(*) FROM credits)::int AS credits,
    (SELECT count(*) FROM payments)::int AS payments,
    (SELECT count(DISTINCT session_id) FROM payments)::int AS sessions_with_payment,
    (SELECT count(*) FROM payment_exceptions WHERE reason = 'duplicate')::int AS duplicates,
    (SELECT count(*) FROM payment_exceptions WHERE reason <> 'duplicate')::int AS other_exceptions,
    (SELECT count(*) FROM checkout_sessions WHERE status = 'paid')::int AS paid_sessions,
    (SELECT count(*) FROM outbox_events WHERE type = 'payment.confirmed')::int AS confirmations,
    (SELECT count(*) FROM payments p
       JOIN credits c USING (operation_id, move_index) JOIN checkout_sessions s ON s.id = p.session_id
       WHERE (c.account, c.memo_key, c.asset) <> (s.account, s.memo_key, s.asset) OR c.amount <> s.amount + p.surplus)::int AS astray`;

/**
 * Proves that each payment was counted exactly once.
 * @throws Error that names every count that is wrong
 */
export async function checkRows(
  dataSource: DataSource,
  { credits, payments }: Expected,
  who: string,
): Promise<void> {
  const [row]: Record<string, number>[] = await dataSource.query(COUNT);
  const wanted: Record<string, number> = {
    credits,
    payments,
    sessions_with_payment: payments,
    duplicates: credits - payments,
    other_exceptions: 0,
    paid_sessions: payments,
    confirmations: payments,
    astray: 0,
  };
  const wrong = Object.entries(wanted).filter(([name, count]) => row?.[name] !== count);
  if (wrong.length === 0) return;
  const told = wrong.map(([name, count]) => `${name} ${row?.[name]} instead of ${count}`);
  throw new Error(`${who}: the rows are wrong: ${told.join(", ")}`);
}
