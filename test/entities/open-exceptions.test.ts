import { expect } from "chai";
import type { DataSource } from "typeorm";
import type { VerdictWord } from "../../src/entities/credit.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { giveVerdict } from "../../src/settlement/give-verdict.js";
import { settle } from "../../src/settlement/settle.js";
import { idMemo } from "../../src/stellar/memo.js";
import { type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { anUnreadable, aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Exceptions that are called open and have a verdict, or the other way round; and verdicts that owe what they should not. */
const WRONG = `
  SELECT e.operation_id::text AS operation_id, e.decided, v.verdict
  FROM payment_exceptions e LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  WHERE e.decided <> (v.verdict IS NOT NULL)
  UNION ALL
  SELECT v.operation_id::text, NULL, v.verdict
  FROM exception_verdicts v JOIN credits c USING (operation_id, move_index)
  WHERE (v.owed_asset, v.owed_amount) IS DISTINCT FROM
        (CASE v.verdict WHEN 'refund' THEN c.asset END, CASE v.verdict WHEN 'refund' THEN c.amount END)`;

const STATE = `
  SELECT (SELECT count(*)::int FROM payment_exceptions WHERE NOT decided) AS open,
         (SELECT count(*)::int FROM exception_verdicts WHERE owed_asset = 'native' AND owed_amount = 7) AS owed`;

/** Five exceptions, each accepted, owed back, dismissed, open, unreadable. @returns the key of the first one */
async function raiseFive(dataSource: DataSource, ledger = 60_000_000): Promise<OperationId> {
  const owner = await watchAccount(dataSource);
  const [session] = await openSessions(
    dataSource,
    aSession(owner, { memoKey: idMemo("9"), amount: toStroops(10n) }),
  );
  if (session === undefined) throw new Error("no session");
  const id = (n: number) => toOperationId(ledger + n, 1, 1);
  const short = (n: number) => creditFor(session, { operationId: id(n), amount: toStroops(7n) });
  await settle(dataSource, [...[1, 2, 3, 4].map(short), anUnreadable(owner.account, { operationId: id(5) })]);
  await decide(dataSource, id(1), "accept");
  await decide(dataSource, id(2), "refund");
  await decide(dataSource, id(3), "dismiss");
  return id(1);
}

function decide(dataSource: DataSource, operationId: OperationId, verdict: VerdictWord): Promise<void> {
  const request = { verdict, note: "n", decidedBy: "test", merchantId: null };
  return inSerializableTransaction(dataSource, (runner) =>
    giveVerdict(runner, { ...request, key: { operationId, moveIndex: 0 } }),
  );
}

describe("exceptions that are open, and refunds that are owed", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.close());

  const query = (sql: string) => database.dataSource.query(sql);

  it("are those without a verdict, and those with the verdict refund", async () => {
    await raiseFive(database.dataSource);
    expect(await query(WRONG)).to.deep.equal([]);
    expect(await query(STATE)).to.deep.equal([{ open: 2, owed: 1 }]);
  });

  it("stay so when a hand in the database gives a verdict, or takes one back", async () => {
    await raiseFive(database.dataSource);
    await query(
      `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
       SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions
       WHERE reason = 'underpaid'
       ON CONFLICT DO NOTHING`,
    );
    expect(await query(WRONG)).to.deep.equal([]);
    expect(await query(STATE)).to.deep.equal([{ open: 1, owed: 2 }]);
    await query("DELETE FROM exception_verdicts WHERE verdict <> 'accept'");
    expect(await query(WRONG)).to.deep.equal([]);
    expect(await query(STATE)).to.deep.equal([{ open: 4, owed: 0 }]);
  });

  it("stay so when their range gets a partition of its own", async () => {
    // Far beyond what is prepared: these lie in the default partition.
    await raiseFive(database.dataSource, 900_000_000);
    const number = Number(toOperationId(900_000_001, 1, 1) >> 51n);
    const [{ moved }] = await query(`SELECT create_partition(${number})::int AS moved`);
    expect(moved).to.equal(5);
    expect(await query(WRONG)).to.deep.equal([]);
    expect(await query(STATE)).to.deep.equal([{ open: 2, owed: 1 }]);
  });
});
