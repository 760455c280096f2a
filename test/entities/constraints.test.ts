import { expect } from "chai";
import type { QueryRunner } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { violatedConstraint } from "../../src/entities/database-errors.js";
import { idMemo } from "../../src/stellar/memo.js";
import { aSession, newAccount, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const [SESSION, OTHER, MERCHANT] = [uuidv7(), uuidv7(), uuidv7()];
const ACCOUNT = newAccount();

/**
 * By hand in psql, or by a bug: what each named constraint refuses when nothing else is in the way. Two open
 * sessions stand on one watched account; credits 1-0 and 2-0 are payments, 3-0 is an exception, and 1-0 has paid.
 */
const SETUP = `
  INSERT INTO merchants (id, name) VALUES ('${MERCHANT}', 'Backstop');
  INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${ACCOUNT}', 100, 100);
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at) VALUES
    ('${SESSION}', '${MERCHANT}', '${ACCOUNT}', 'id:1', 'native', 10, now()),
    ('${OTHER}', '${MERCHANT}', '${ACCOUNT}', 'id:2', 'native', 10, now());
  INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
    SELECT id, 0, CASE id WHEN 3 THEN 'exception' ELSE 'payment' END, '${ACCOUNT}', repeat('a', 64), 'native', 10, now(), '{}'
    FROM generate_series(1, 3) AS id;
  INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (1, 0, '${SESSION}', 0);
  INSERT INTO outbox_events (id, type, session_id, body) VALUES (gen_random_uuid(), 'payment.confirmed', '${SESSION}', '{}')`;

const session = (columns: string, values: string) =>
  `INSERT INTO checkout_sessions (id, merchant_id, expires_at, ${columns}) VALUES (gen_random_uuid(), '${MERCHANT}', now(), ${values})`;
const set = (change: string) => `UPDATE checkout_sessions SET ${change} WHERE id = '${SESSION}'`;
const credit = (operation: string, index: string, columns = "", values = "") =>
  `INSERT INTO credits (operation_id, move_index, account, record${columns}) VALUES (${operation}, ${index}, '${ACCOUNT}', '{}'${values})`;
const payment = (operation: number, to: string, surplus = 0) =>
  `INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (${operation}, 0, '${to}', ${surplus})`;
const exception = (operation: number, reason: string, to = "NULL") =>
  `INSERT INTO payment_exceptions (operation_id, move_index, reason, session_id, detail) VALUES (${operation}, 0, '${reason}', ${to}, '')`;
const event = (type: string, of: string) =>
  `INSERT INTO outbox_events (id, type, session_id, body) VALUES (gen_random_uuid(), '${type}', '${of}', '{}')`;
const hole = (from: number, to: number, why: string, of: string = ACCOUNT) =>
  `INSERT INTO history_holes (account, missing_from, missing_to, reason) VALUES ('${of}', ${from}, ${to}, '${why}')`;

const REFUSED: readonly [constraint: string, what: string, sql: string][] = [
  ["credits_accounted_once", "G1: a credit a second time", credit("3", "0", ", outcome", ", 'exception'")],
  ["payments_one_per_credit", "G1: one credit paying twice", payment(1, OTHER)],
  ["payments_credit_is_a_payment", "G1: an exception that pays", payment(3, OTHER)],
  ["payments_credit_is_a_payment", "G1: a payment that no credit brought", payment(99, OTHER)],
  ["exceptions_credit_is_an_exception", "G1: a payment that is an exception too", exception(1, "no_memo")],
  ["exceptions_credit_is_an_exception", "G1: an exception without a credit", exception(99, "no_memo")],
  [
    "exceptions_one_per_credit",
    "G1: two exceptions of one credit",
    `${exception(3, "no_memo")}; ${exception(3, "unmatched")}`,
  ],
  [
    "payments_credit_is_a_payment",
    "G1: taking back the credit under a payment",
    "DELETE FROM credits WHERE operation_id = 1",
  ],
  ["payments_one_per_session", "G2: a second payment of a session", payment(2, SESSION)],
  ["outbox_one_of_a_type_per_session", "G2: a second confirmation", event("payment.confirmed", SESSION)],
  ["sessions_paid_at_exactly_when_paid", "G2: paid at no time", set("status = 'paid'")],
  ["sessions_paid_at_exactly_when_paid", "G2: a time of payment without one", set("paid_at = now()")],
  ["sessions_status_known", "a status that nobody knows", set("status = 'settled'")],
  [
    "sessions_memo_unique_per_account",
    "two sessions with one memo on one account",
    session("account, memo_key, asset, amount", `'${ACCOUNT}', 'id:1', 'native', 1`),
  ],
  [
    "sessions_account_is_watched",
    "a session where nobody looks",
    session("account, memo_key, asset, amount", `'${newAccount()}', 'id:9', 'native', 1`),
  ],
  ["sessions_merchant_exists", "a session of nobody", set(`merchant_id = '${uuidv7()}'`)],
  ["sessions_amount_positive", "a session over nothing", set("amount = 0")],
  ["sessions_memo_key_canonical", "a memo in a form that no credit has", set("memo_key = 'id:007'")],
  ["sessions_asset_has_issuer", "a token of no issuer", set("asset = 'USDC'")],
  ["sessions_grace_in_range", "a grace without end", set("grace_seconds = 2592001")],
  ["sessions_submitted_hash_form", "a hash that is none", set("submitted_hash = 'abc'")],
  [
    "credits_operation_id_positive",
    "a credit of no operation",
    credit("0", "0", ", outcome", ", 'exception'"),
  ],
  [
    "credits_move_index_not_negative",
    "a move before the first",
    credit("9", "-1", ", outcome", ", 'exception'"),
  ],
  ["credits_outcome_known", "a credit that ended as neither", credit("9", "0", ", outcome", ", 'refund'")],
  [
    "credits_amount_positive",
    "a credit of nothing",
    credit("9", "0", ", outcome, amount", ", 'exception', 0"),
  ],
  [
    "credits_transaction_hash_form",
    "a hash that is none",
    credit("9", "0", ", outcome, transaction_hash", ", 'exception', 'A'"),
  ],
  [
    "credits_payment_is_readable",
    "a payment that nobody could read",
    credit("9", "0", ", outcome", ", 'payment'"),
  ],
  [
    "credits_account_is_watched",
    "a credit of an account that is not ours",
    `UPDATE credits SET account = '${newAccount()}' WHERE operation_id = 3`,
  ],
  ["payments_surplus_not_negative", "a payment that was too little", payment(2, OTHER, -1)],
  ["payments_session_exists", "a payment of no session", payment(2, uuidv7())],
  [
    "payments_outcome",
    "a payment that calls itself something else",
    "UPDATE payments SET outcome = 'exception'",
  ],
  [
    "exceptions_outcome",
    "an exception that calls itself a payment",
    `${exception(3, "no_memo")}; UPDATE payment_exceptions SET outcome = 'payment'`,
  ],
  ["exceptions_reason_known", "an exception for no known reason", exception(3, "whatever", `'${SESSION}'`)],
  ["exceptions_session_exists", "an exception of no session", exception(3, "late", `'${uuidv7()}'`)],
  ["exceptions_session_where_known", "a duplicate of nothing", exception(3, "duplicate")],
  [
    "exceptions_session_where_known",
    "no memo, and a session all the same",
    exception(3, "no_memo", `'${SESSION}'`),
  ],
  ["outbox_type_known", "news that nobody reads", event("payment.maybe", OTHER)],
  ["outbox_session_exists", "news of no session", event("session.expired", uuidv7())],
  [
    "cursors_watermark_from_start",
    "a watermark before the account was ours",
    "UPDATE stream_cursors SET watermark = 99",
  ],
  [
    "cursors_start_not_negative",
    "a start before the network's",
    "UPDATE stream_cursors SET starting_cursor = -1",
  ],
  ["cursors_halted_with_reason", "a halt without a reason", "UPDATE stream_cursors SET halted_at = now()"],
  [
    "cursors_account_form",
    "an account that is none",
    "INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('G', 0, 0)",
  ],
  ["holes_reason_given", "a hole for no reason", hole(1, 2, "")],
  ["holes_not_empty", "a hole of nothing", hole(2, 1, "r")],
  ["holes_account_is_watched", "a hole in what nobody watches", hole(1, 2, "r", newAccount())],
  ["holes_accepted_once", "a hole accepted twice", `${hole(1, 2, "r")}; ${hole(1, 3, "r")}`],
  [
    "merchants_name_length",
    "a merchant without a name",
    "INSERT INTO merchants (id, name) VALUES (gen_random_uuid(), '')",
  ],
];

describe("constraints: the backstop, with every lock off", () => {
  let database: TestDatabase;
  let runner: QueryRunner;

  before(async () => {
    database = await createTestDatabase();
    await database.dataSource.query(SETUP);
    runner = database.dataSource.createQueryRunner();
  });
  after(async () => {
    await runner.release();
    await database.close();
  });
  beforeEach(() => runner.startTransaction());
  afterEach(() => runner.rollbackTransaction());

  for (const [constraint, what, sql] of REFUSED) {
    it(`${constraint} refuses ${what}`, async () => {
      const error: unknown = await runner.query(sql).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error, `accepted: ${sql}`).not.to.equal(null);
      expect(violatedConstraint(error), String(error)).to.equal(constraint);
    });
  }

  it("every named constraint of the schema has its case above", async () => {
    const rows: { name: string }[] = await runner.query(`
      SELECT conname AS name FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'p')
        AND conname !~ '(_pkey|_not_null)$' AND conrelid::regclass::text <> 'migrations'`);
    // The target of both foreign keys: whatever it would refuse, credits_accounted_once refuses before.
    const untested = ["credits_one_outcome"];
    expect([...new Set(REFUSED.map(([name]) => name)), ...untested]).to.have.members(
      rows.map(({ name }) => name),
    );
  });

  it("the same memo on two accounts, and what the setup holds, are fine", async () => {
    const owner = await watchAccount(database.dataSource);
    await openSessions(database.dataSource, aSession(owner, { memoKey: idMemo("1") }));
    await runner.query(`${exception(3, "late", `'${OTHER}'`)}; ${payment(2, OTHER)}`);
  });
});
