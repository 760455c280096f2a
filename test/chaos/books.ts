import type { DataSource } from "typeorm";

/** A credit as the books hold it. Values as stored: nothing is believed. */
export type Booked = {
  /** `<operation id>-<move index>`. */
  readonly key: string;
  readonly account: string;
  readonly asset: string | null;
  readonly amount: bigint | null;
  readonly hash: string | null;
  readonly outcome: string;
  /** Session of each payment row: one, or the books are wrong. */
  readonly paid: readonly string[];
  /** Reason of each exception row. */
  readonly reasons: readonly string[];
};

export type BookedEvent = {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly merchantId: string;
  readonly body: string;
};

export type Books = {
  readonly credits: readonly Booked[];
  /** By id: status. */
  readonly sessions: ReadonlyMap<string, string>;
  readonly events: readonly BookedEvent[];
  /** Sessions that carry the number of the order they were made for. */
  readonly orders: readonly { readonly order: string; readonly id: string }[];
  /** Sessions that recovery made pending again, with the hash that it asked about. */
  readonly rolledBack: readonly { readonly id: string; readonly hash: string }[];
};

const ORDERS = `
  SELECT metadata->>'order' AS "order", id FROM checkout_sessions WHERE metadata ? 'order'`;

const ROLLED_BACK = `
  SELECT session_id AS id, evidence->>'hash' AS hash FROM recovery_findings
  WHERE action = 'rolled_back' AND evidence->>'hash' IS NOT NULL`;

const CREDITS = `
  SELECT c.operation_id || '-' || c.move_index AS key, c.account, c.asset, c.amount, c.transaction_hash AS hash, c.outcome,
    ARRAY(SELECT p.session_id::text FROM payments p
          WHERE p.operation_id = c.operation_id AND p.move_index = c.move_index) AS paid,
    ARRAY(SELECT e.reason FROM payment_exceptions e
          WHERE e.operation_id = c.operation_id AND e.move_index = c.move_index) AS reasons
  FROM credits c`;

/** Reads the whole books in one snapshot. */
export async function readWholeBooks(dataSource: DataSource): Promise<Books> {
  return dataSource.transaction("REPEATABLE READ", async (manager) => {
    const credits: (Omit<Booked, "amount"> & { amount: string | null })[] = await manager.query(CREDITS);
    const sessions: { id: string; status: string }[] = await manager.query(
      "SELECT id, status FROM checkout_sessions",
    );
    const events: BookedEvent[] = await manager.query(
      `SELECT id, type, subject, merchant_id AS "merchantId", body FROM outbox_events`,
    );
    return {
      credits: credits.map((row) => ({ ...row, amount: row.amount === null ? null : BigInt(row.amount) })),
      sessions: new Map(sessions.map(({ id, status }) => [id, status])),
      events,
      orders: await manager.query(ORDERS),
      rolledBack: await manager.query(ROLLED_BACK),
    };
  });
}
