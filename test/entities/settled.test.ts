import { expect } from "chai";
import type { SessionStatus } from "../../src/entities/checkout-session.js";
import { settle } from "../../src/settlement/settle.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Sessions that no list has, that the wrong one has, or that a list has otherwise than they are. */
const WRONG = `
  SELECT s.id, s.status, s.has_payment, u.status AS unsettled_status, d.session_id IS NOT NULL AS listed_as_paid
  FROM checkout_sessions s
  FULL JOIN unsettled_sessions u ON u.session_id = s.id
  FULL JOIN paid_sessions d ON d.session_id = s.id
  WHERE s.id IS NULL
     OR (s.status = 'paid') IS DISTINCT FROM (d.session_id IS NOT NULL)
     OR (s.status = 'paid' AND s.has_payment) IS DISTINCT FROM (u.session_id IS NULL)
     OR (d.session_id IS NOT NULL AND d.merchant_id <> s.merchant_id)
     OR (u.session_id IS NOT NULL
         AND (u.merchant_id, u.account, u.status, u.has_payment, u.last_moment, u.processing_since) IS DISTINCT FROM
             (s.merchant_id, s.account, s.status, s.has_payment, s.expires_at + make_interval(secs => s.grace_seconds),
              s.processing_since))`;

const ONE = "(SELECT id FROM checkout_sessions ORDER BY id LIMIT 1)";
const PAID = "(SELECT session_id FROM payments ORDER BY session_id LIMIT 1)";

/** Whatever a hand in the database does to sessions and payments. */
const BY_HAND: readonly (readonly [what: string, statement: string])[] = [
  ["gives a session more time", `UPDATE checkout_sessions SET expires_at = now() WHERE id = ${ONE}`],
  ["gives a session grace", `UPDATE checkout_sessions SET grace_seconds = 60 WHERE id = ${ONE}`],
  [
    "begins to process one",
    `UPDATE checkout_sessions SET status = 'processing', processing_since = now() WHERE id = ${ONE}`,
  ],
  ["expires everything", "UPDATE checkout_sessions SET status = 'expired' WHERE status = 'pending'"],
  [
    "calls paid what nothing paid",
    `UPDATE checkout_sessions SET status = 'paid', paid_at = now() WHERE id = ${ONE}`,
  ],
  [
    "calls pending what is paid",
    `UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = ${PAID}`,
  ],
  ["takes a payment away", `DELETE FROM payments WHERE session_id = ${PAID}`],
  [
    "gives a payment to another session",
    `UPDATE payments SET session_id = ${ONE} WHERE session_id = ${PAID}`,
  ],
  ["deletes a session", `DELETE FROM checkout_sessions WHERE id = ${ONE}`],
  ["deletes all there is", "TRUNCATE merchants, stream_cursors, credits CASCADE"],
];

describe("paid and unsettled sessions", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
    const owner = await watchAccount(database.dataSource);
    const other = await watchAccount(database.dataSource);
    const statuses: SessionStatus[] = ["pending", "expired", "cancelled", "processing", "pending", "pending"];
    const sessions = statuses.map((status, i) => aSession(i % 2 === 0 ? owner : other, { status }));
    await openSessions(database.dataSource, ...sessions);
    await settle(
      database.dataSource,
      sessions.slice(-2).map((session) => creditFor(session)),
    );
  });
  afterEach(() => database.close());

  const listed = async () => {
    const [row] = await database.dataSource.query(`
      SELECT (SELECT count(*)::int FROM paid_sessions) AS paid,
             (SELECT count(*)::int FROM unsettled_sessions) AS unsettled`);
    return row;
  };

  it("are listed as they are, once each, from creation to payment", async () => {
    expect(await database.dataSource.query(WRONG)).to.deep.equal([]);
    expect(await listed()).to.deep.equal({ paid: 2, unsettled: 4 });
  });

  for (const [what, statement] of BY_HAND) {
    it(`stay so whoever ${what}`, async () => {
      await database.dataSource.query(statement);
      expect(await database.dataSource.query(WRONG)).to.deep.equal([]);
    });
  }
});
