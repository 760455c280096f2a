import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { preparePartitions } from "../../src/history/prepare-partitions.js";
import { databaseFault, violatedConstraint } from "../../src/postgres/database-errors.js";
import { settle } from "../../src/settlement/settle.js";
import { watchAccount as watch } from "../../src/settlement/watch-account.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import {
  aSession,
  creditFor,
  findContradictions,
  newAccount,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import {
  createPartitions,
  creditIn,
  firstLedger,
  inPartition,
  payIn,
  placesOf,
} from "../support/partitions.js";
import { eventually } from "../support/stream.js";

describe("the history in partitions", () => {
  let database: TestDatabase;
  let owner: Awaited<ReturnType<typeof watchAccount>>;

  beforeEach(async () => {
    database = await createTestDatabase();
    owner = await watchAccount(database.dataSource);
  });
  afterEach(() => database.close());

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  const open = async (count: number): Promise<CheckoutSession[]> =>
    openSessions(database.dataSource, ...Array.from({ length: count }, () => aSession(owner)));
  const one = async (): Promise<CheckoutSession> => {
    const [session] = await open(1);
    if (session === undefined) throw new Error("no session");
    return session;
  };
  const partitions = async (): Promise<string[]> => {
    const rows = await query(
      "SELECT name FROM history_partitions WHERE of_table = 'credits' ORDER BY is_default, from_id NULLS FIRST",
    );
    return rows.map(({ name }: { name: string }) => name.replace("credits_", ""));
  };
  const refusal = async (work: Promise<unknown>): Promise<string | null> => {
    const error: unknown = await work.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    return error === null ? null : (violatedConstraint(error) ?? databaseFault(error) ?? String(error));
  };
  const pay = (number: number, session: CheckoutSession) => `
    INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
    VALUES (${inPartition(number)}, 0, 'payment', '${owner.account}', repeat('a', 64), 'native', 1, now(), '{}');
    INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (${inPartition(number)}, 0, '${session.id}', 0)`;

  it("G1, G2: a batch that spans months settles as any other, each credit in its own", async () => {
    await createPartitions(database.dataSource, 114, 115);
    const sessions = await open(4);
    const [first, second, third, fourth] = sessions;
    if (!first || !second || !third || !fourth) throw new Error("no sessions");
    const credits = [
      creditIn(114, first),
      creditIn(115, second),
      creditIn(2_000, third),
      creditIn(1, fourth),
    ];
    const late = creditFor(first, { operationId: inPartition(115, 9) });
    const kinds = (await settle(database.dataSource, [...credits, late])).map(({ kind }) => kind);
    expect(new Set(kinds)).to.deep.equal(new Set(["recorded"]));
    expect(await placesOf(database.dataSource, "payments")).to.deep.equal([
      "payments_p1",
      "payments_p114",
      "payments_p115",
      "payments_default",
    ]);
    expect(await placesOf(database.dataSource, "payment_exceptions")).to.deep.equal([
      "payment_exceptions_p115",
    ]);
    const again = await settle(database.dataSource, [...credits, late]);
    expect(new Set(again.map(({ kind }) => kind))).to.deep.equal(new Set(["redelivered"]));
    expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
  });

  for (const [place, number] of [
    ["the first partition", 1],
    ["a month's", 114],
    ["the default", 900],
  ] as const) {
    it(`G1: in ${place} a credit is one row, and a payment or an exception`, async () => {
      await createPartitions(database.dataSource, 114);
      const session = await one();
      await payIn(database.dataSource, [number, session]);
      const credit = `INSERT INTO credits (operation_id, move_index, outcome, account, record)
        SELECT operation_id, move_index, 'exception', account, '{}' FROM credits`;
      expect(await refusal(query(credit))).to.equal("credits_accounted_once");
      const exception = `INSERT INTO payment_exceptions (operation_id, move_index, reason, detail)
        SELECT operation_id, move_index, 'no_memo', '' FROM credits`;
      expect(await refusal(query(exception))).to.equal("exceptions_credit_is_an_exception");
      expect(await refusal(query("DELETE FROM credits"))).to.equal("payments_credit_is_a_payment");
      expect(await refusal(query("UPDATE credits SET outcome = 'exception'"))).to.equal(
        "payments_credit_is_a_payment",
      );
    });
  }

  it("G2: a session has one payment, whichever months its credits are of", async () => {
    await createPartitions(database.dataSource, 114, 115);
    const session = await one();
    await query(pay(114, session));
    for (const other of [115, 116, 1]) {
      expect(await refusal(query(pay(other, session))), `partition ${other}`).to.equal(
        "payments_one_per_session",
      );
    }
  });

  it("G2: who names a partition instead of the table is held by it too", async () => {
    await createPartitions(database.dataSource, 114, 115);
    const session = await one();
    await query(pay(114, session));
    expect(await refusal(query(pay(115, session).replace("INTO payments", "INTO payments_p115")))).to.equal(
      "payments_one_per_session",
    );
    await query("TRUNCATE payments_p114");
    await query(pay(115, session));
  });

  for (const level of ["READ COMMITTED", "SERIALIZABLE"] as const) {
    it(`G2: of two who pay one session at the same instant in two months one waits and is refused (${level})`, async () => {
      await createPartitions(database.dataSource, 114, 115);
      const session = await one();
      const [first, second] = [
        database.dataSource.createQueryRunner(),
        database.dataSource.createQueryRunner(),
      ];
      try {
        await first.startTransaction(level);
        await second.startTransaction(level);
        await second.query("SELECT FROM merchants");
        await first.query(pay(114, session));
        const waiting = refusal(second.query(pay(115, session)));
        const blocked = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        await eventually(async () => (await query(blocked)).length > 0);
        await first.commitTransaction();
        // A serializable one is told to look again, and sees the payment then.
        expect(await waiting).to.equal(level === "SERIALIZABLE" ? "conflict" : "payments_one_per_session");
        await second.rollbackTransaction();
        expect(await query("SELECT count(*)::int AS payments FROM payments")).to.deep.equal([
          { payments: 1 },
        ]);
      } finally {
        await Promise.all([first.release(), second.release()]);
      }
    });
  }

  it("G2: who pays beside one that is rolled back pays", async () => {
    await createPartitions(database.dataSource, 114, 115);
    const session = await one();
    const first = database.dataSource.createQueryRunner();
    try {
      await first.startTransaction();
      await first.query(pay(114, session));
      const waiting = refusal(query(pay(115, session)));
      await first.rollbackTransaction();
      expect(await waiting).to.equal(null);
    } finally {
      await first.release();
    }
  });

  it("G2: a payment that is moved or taken away lets go of its session, and of no other", async () => {
    await createPartitions(database.dataSource, 114);
    const [a, b] = await open(2);
    if (!a || !b) throw new Error("no sessions");
    await query(pay(114, a));
    await query("UPDATE payments SET session_id = $1", [b.id]);
    await query(pay(1, a));
    const claims = "SELECT session_id FROM session_payments ORDER BY session_id";
    expect(await query(claims)).to.deep.equal([{ session_id: a.id }, { session_id: b.id }]);
    await query("DELETE FROM payments WHERE session_id = $1", [b.id]);
    expect(await query(claims)).to.deep.equal([{ session_id: a.id }]);
    // The same payment once more claims nothing that is not its own.
    await query("ALTER TABLE payments_p1 DISABLE TRIGGER USER");
    await query("DELETE FROM payments_p1");
    await query(
      "INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES ($1, 0, $2, 0)",
      [inPartition(1).toString(), a.id],
    );
    expect(await query(claims)).to.deep.equal([{ session_id: a.id }]);
  });

  it("the job makes the months ahead, moves what the default holds, and leaves the second time nothing to do", async () => {
    const sessions = await open(3);
    const [first, second, third] = sessions;
    if (!first || !second || !third) throw new Error("no sessions");
    await payIn(database.dataSource, [114, first], [90, second], [114, third]);
    await settle(database.dataSource, [creditFor(first, { operationId: inPartition(90, 7) })]);
    await query(`INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
      SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions`);
    const before = await readBooks(database.dataSource);
    expect(await preparePartitions(database.dataSource)).to.deep.equal({ created: 5, moved: 4 });
    expect(await partitions()).to.deep.equal(["p0", "p1", "p90", "p114", "p115", "p116", "p117", "default"]);
    expect(await placesOf(database.dataSource, "payments")).to.deep.equal([
      "payments_p90",
      "payments_p114",
      "payments_p114",
    ]);
    expect(await placesOf(database.dataSource, "exception_verdicts")).to.deep.equal([
      "exception_verdicts_p90",
    ]);
    expect(await readBooks(database.dataSource)).to.deep.equal(before);
    expect(findContradictions(before)).to.deep.equal([]);
    expect(await query("SELECT id FROM checkout_sessions WHERE has_payment")).to.have.length(3);
    expect(await query("SELECT FROM session_payments")).to.have.length(3);
    expect(await preparePartitions(database.dataSource)).to.deep.equal({ created: 0, moved: 0 });
  });

  it("a month that can't be made keeps no other from being made", async () => {
    const [first, second] = await open(2);
    if (!first || !second) throw new Error("no sessions");
    await payIn(database.dataSource, [90, first], [114, second]);
    // What stands in its place: a table of somebody's.
    await query("CREATE TABLE credits_p90 (note text)");
    const error: unknown = await preparePartitions(database.dataSource).catch((thrown: unknown) => thrown);
    expect(String(error)).to.contain("credits_p90");
    expect(await partitions()).to.deep.equal(["p0", "p1", "p114", "p115", "p116", "p117", "default"]);
  });

  it("two jobs at once make each month once", async () => {
    await payIn(database.dataSource, [114, await one()]);
    const done = await Promise.all([1, 2, 3].map(() => preparePartitions(database.dataSource)));
    expect(done.reduce((sum, { created }) => sum + created, 0)).to.equal(4);
    expect(done.reduce((sum, { moved }) => sum + moved, 0)).to.equal(1);
  });

  it("settlement goes on while partitions are made: nothing is refused, nothing is lost", async () => {
    const sessions = await open(60);
    const settled = (async () => {
      for (const [i, session] of sessions.entries()) {
        await settle(database.dataSource, [creditIn(114 + (i % 3), session, i + 1)]);
      }
    })();
    while (
      !(await Promise.race([
        settled.then(() => true),
        preparePartitions(database.dataSource).then(() => false),
      ]))
    );
    await preparePartitions(database.dataSource);
    const books = await readBooks(database.dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    expect(books.payments).to.have.length(60);
    expect(await query("SELECT FROM credits_default")).to.deep.equal([]);
  });

  it("who holds the tables for long holds up the job, and the job nobody", async () => {
    await payIn(database.dataSource, [114, await one()]);
    const audit = database.dataSource.createQueryRunner();
    try {
      await audit.startTransaction("REPEATABLE READ");
      await audit.query("SELECT count(*) FROM credits");
      expect(await refusal(preparePartitions(database.dataSource))).to.equal("conflict");
      await payIn(database.dataSource, [115, await one()]);
    } finally {
      await audit.rollbackTransaction();
      await audit.release();
    }
    expect((await preparePartitions(database.dataSource)).moved).to.equal(2);
  });

  it("an account's first month is there before its first credit", async () => {
    await watch(database.dataSource.manager, newAccount(), (firstLedger(114) + 5) as LedgerSequence);
    expect(await partitions()).to.deep.equal(["p0", "p1", "p114", "p115", "default"]);
    await watch(database.dataSource.manager, newAccount(), (firstLedger(114) + 6) as LedgerSequence);
    expect(await partitions()).to.have.length(5);
  });

  it("a list of an account reads the ends of the months, and sorts no history", async () => {
    await createPartitions(database.dataSource, ...Array.from({ length: 24 }, (_, i) => 92 + i));
    await query(
      `INSERT INTO credits (operation_id, move_index, outcome, account, record)
      SELECT ((92 + n % 24)::bigint << 51) + n, 0, 'exception', $1, '{}' FROM generate_series(1, 4800) n`,
      [owner.account],
    );
    await query("ANALYZE credits");
    const plan = async (sql: string): Promise<string> => {
      const rows: { "QUERY PLAN": string }[] = await query(
        `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ${sql}`,
      );
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    };
    const list = await plan(
      `SELECT * FROM credits WHERE account = '${owner.account}' ORDER BY operation_id DESC, move_index DESC LIMIT 20`,
    );
    expect(list)
      .to.include("Merge Append")
      .and.not.to.match(/Sort Method|Seq Scan/);
    await query(
      "PREPARE wanted (bigint) AS SELECT * FROM credits WHERE operation_id = $1 AND move_index = 0",
    );
    await query("SET plan_cache_mode = force_generic_plan");
    expect(await plan(`EXECUTE wanted (${inPartition(100)})`)).to.include("Subplans Removed: 26");
  });
});
