import type { DataSource, QueryRunner } from "typeorm";
import { NATIVE } from "../src/stellar/asset.js";
import { toOperationId } from "../src/stellar/operation-id.js";
import { creditOf, LEDGER, MEMO_OF, type Owner, PRICE } from "./stock.js";

/** Statements that can go without while rows come in: everything that no reference needs. */
const INDEXES = `
  SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition,
         c.conname AS "constraint", pg_get_constraintdef(c.oid) AS "constraintDefinition"
  FROM pg_index i
  LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
  WHERE i.indrelid = $1::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint r WHERE r.conindid = i.indexrelid AND r.contype = 'f')
    AND NOT i.indisprimary`;

type Index = {
  name: string;
  definition: string;
  constraint: string | null;
  constraintDefinition: string | null;
};

/** The past: sessions that were paid, n from `from` on; the ids of operations descend from the benchmark's ledger. */
export type Past = {
  readonly sessions: number;
  /** So many of them, the newest, have their credit, payment and event too. */
  readonly withPayments: number;
};

/** One a second, the newest some minutes ago: what came in lately is counted by the status. */
const LOAD_SESSIONS = `
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, status, expires_at, paid_at,
                                 created_at, has_payment)
  SELECT uuidv7(-age), $1, $2, ${MEMO_OF.id}, '${NATIVE}', ${PRICE}, 'paid',
         now() - age + interval '1 day', now() - age, now() - age, true
  FROM generate_series($3::bigint + 1, $3::bigint + $4::bigint) AS n,
       LATERAL (SELECT make_interval(secs => 600 + $3::bigint + $4::bigint - n) AS age) AS ages`;

/** No trigger lists what is loaded, nor claims it. */
const LIST_SESSIONS = "INSERT INTO paid_sessions SELECT merchant_id, id FROM checkout_sessions ORDER BY id";

const CLAIM_SESSIONS = `
  INSERT INTO session_payments SELECT session_id, operation_id, move_index, surplus FROM payments ORDER BY session_id`;

/** One operation for each, in ledgers before the benchmark's own. */
const OPERATION = `(((${LEDGER - 100_000} + n / 1000) << 32) | ((1 + n % 1000) << 12) | 1)`;

const LOAD_CREDITS = `
  INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount, memo_key,
                       closed_at, record, recorded_at)
  SELECT ${OPERATION}, 0, 'payment', s.account, md5(n::text) || md5((-n)::text), $3, s.asset, s.amount, s.memo_key,
         s.paid_at, $2, s.paid_at
  FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM (
          SELECT id, account, asset, amount, memo_key, paid_at FROM checkout_sessions ORDER BY id DESC LIMIT $1
        ) AS newest) AS s`;

const LOAD_PAYMENTS = `
  INSERT INTO payments (operation_id, move_index, session_id, surplus, settled_at)
  SELECT ${OPERATION}, 0, id, 0, paid_at
  FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM (
          SELECT id, paid_at FROM checkout_sessions ORDER BY id DESC LIMIT $1) AS newest) AS s`;

const LOAD_EVENTS = `
  INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body, created_at, position)
  SELECT uuidv7(), 'payment.confirmed', merchant_id, id::text, id,
         '{"type":"payment.confirmed","session":"' || id || '","credit":"' || repeat('0', 200) || '"}',
         paid_at, n
  FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM (
          SELECT id, merchant_id, paid_at FROM checkout_sessions ORDER BY id DESC LIMIT $1) AS newest) AS s`;

/**
 * Puts years of history into an empty database, set-wise: indexes are taken away, and built again as the migration made
 * them. References are not looked up row by row: what is loaded is right by construction.
 * @param firstMemo the memos are those of the sessions after this number
 */
export async function loadPast(
  dataSource: DataSource,
  { account, merchantId }: Owner,
  firstMemo: number,
  { sessions, withPayments }: Past,
): Promise<void> {
  const runner = dataSource.createQueryRunner();
  try {
    await runner.query("SET session_replication_role = replica");
    await runner.query("SET maintenance_work_mem = '512MB'");
    await withoutIndexes(runner, "checkout_sessions", () =>
      runner.query(LOAD_SESSIONS, [merchantId, account, firstMemo, sessions]),
    );
    await runner.query(LIST_SESSIONS);
    await runner.query("ANALYZE checkout_sessions");
    const { record, from } = creditOf(1, account, new Date());
    // Of one partition an index can't go while the table has it.
    await runner.query("SELECT prepare_partitions($1)", [toOperationId(LEDGER, 1, 1).toString()]);
    await runner.query(LOAD_CREDITS, [withPayments, record, from]);
    await runner.query(LOAD_PAYMENTS, [withPayments]);
    await runner.query(CLAIM_SESSIONS);
    await withoutIndexes(runner, "outbox_events", () => runner.query(LOAD_EVENTS, [withPayments]));
    await runner.query("RESET session_replication_role");
    // Without it the first readers would write: each row is marked as committed by whoever sees it first.
    await runner.query(
      "VACUUM (ANALYZE) checkout_sessions, paid_sessions, session_payments, credits, payments, outbox_events",
    );
    await runner.query("CHECKPOINT");
  } finally {
    await runner.release();
  }
}

async function withoutIndexes(
  runner: QueryRunner,
  table: string,
  load: () => Promise<unknown>,
): Promise<void> {
  const indexes: Index[] = await runner.query(INDEXES, [table]);
  for (const { name, constraint } of indexes) {
    await runner.query(
      constraint === null ? `DROP INDEX ${name}` : `ALTER TABLE ${table} DROP CONSTRAINT ${constraint}`,
    );
  }
  await load();
  for (const { definition, constraint, constraintDefinition } of indexes) {
    await runner.query(
      constraint === null
        ? definition
        : `ALTER TABLE ${table} ADD CONSTRAINT ${constraint} ${constraintDefinition}`,
    );
  }
}
