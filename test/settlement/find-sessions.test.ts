import { expect } from "chai";
import { nameSessions } from "../../src/settlement/find-sessions.js";
import { idMemo, muxedId, textMemo } from "../../src/stellar/memo.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("finding the sessions that credits name", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("finds a session by each form of its number, whichever of them it was made with", async () => {
    const owner = await watchAccount(database.dataSource);
    const forms = (id: string) => [idMemo(id), muxedId(id), textMemo(Buffer.from(id))];
    for (const [i, memoKey] of forms("100").entries()) {
      const number = String(100 + i);
      const session = aSession(owner, { memoKey: forms(number)[i] ?? memoKey });
      await openSessions(database.dataSource, session);
      for (const form of forms(number)) {
        const naming = form.startsWith("muxed:") ? { muxed: form, memo: null } : { muxed: null, memo: form };
        const credit = creditFor(session, naming);
        const named = await nameSessions(database.dataSource.manager, [credit]);
        expect(named.of(credit)?.id, `${session.memoKey} by ${form}`).to.equal(session.id);
      }
    }
  });

  it("reads the index of references, and never the table", async () => {
    const { dataSource } = database;
    const owner = await watchAccount(dataSource);
    await openSessions(dataSource, ...Array.from({ length: 300 }, () => aSession(owner)));
    await dataSource.query("ANALYZE checkout_sessions");
    const rows: { "QUERY PLAN": string }[] = await dataSource.query(
      `EXPLAIN SELECT id FROM checkout_sessions
       WHERE account = '${owner.account}' AND payment_reference(memo_key) = 'id:1'`,
    );
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    expect(plan).to.include("sessions_reference_unique_per_account").and.not.include("Seq Scan");
  });
});
