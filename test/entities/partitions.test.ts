import { expect } from "chai";
import { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { createDataSource } from "../../src/entities/data-source.js";
import { migrate } from "../../src/entities/migrate.js";
import { Partitions9 } from "../../src/entities/migrations/0009-partitions.js";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createEmptyDatabase, type EmptyDatabase } from "../support/database.js";
import { placesOf } from "../support/partitions.js";

/**
 * Statements of the version before partitions that this version does not send any more, or that partitions could have
 * broken: it runs beside this one while replicas are replaced. $1 is a session that is paid, $2 one that is not.
 */
const OF_THE_VERSION_BEFORE: readonly (readonly [what: string, statement: string, rows: number])[] = [
  [
    "finds a session's payment",
    "SELECT p.surplus FROM checkout_sessions s LEFT JOIN payments p ON p.session_id = s.id WHERE s.id = $1 AND p.surplus = 5 AND $2::uuid IS NOT NULL",
    1,
  ],
  [
    "finds paid sessions without a payment",
    "SELECT FROM checkout_sessions s WHERE s.id IN ($1, $2) AND s.status = 'paid' AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.session_id = s.id)",
    0,
  ],
  [
    "records a credit once",
    `WITH recorded AS (
       INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
       SELECT operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record FROM credits
       WHERE $1::uuid <> $2::uuid
       ON CONFLICT ON CONSTRAINT credits_accounted_once DO NOTHING RETURNING operation_id)
     SELECT FROM recorded`,
    0,
  ],
  [
    "gives one verdict",
    `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
     SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions
     WHERE $1::uuid <> $2::uuid
     ON CONFLICT ON CONSTRAINT verdicts_one_per_credit DO NOTHING RETURNING operation_id`,
    1,
  ],
];

describe("the migration to partitions", () => {
  let database: EmptyDatabase;
  /** Of the version before: it knows of no partition. */
  let before: DataSource;
  let sessions: CheckoutSession[];

  beforeEach(async () => {
    database = await createEmptyDatabase();
    const { options } = createDataSource({ url: database.url, applicationName: "test" });
    const migrations = (options.migrations as unknown[]).filter((migration) => migration !== Partitions9);
    before = await new DataSource({ ...options, migrations: migrations as never }).initialize();
    await before.runMigrations();
    const owner = await watchAccount(before);
    sessions = await openSessions(before, ...Array.from({ length: 40 }, () => aSession(owner)));
    const [first, second] = sessions;
    if (!first || !second) throw new Error("no sessions");
    // A payment, one with a surplus, a duplicate.
    const over = creditFor(second, { amount: toStroops(second.amount + 5n) });
    await settle(before, [creditFor(first), over, creditFor(first)]);
  });
  afterEach(async () => {
    await before.destroy();
    await database.close();
  });

  it("keeps every row where it is, and what refers to it; what comes next goes on", async () => {
    const books = await readBooks(before);
    const [{ file }] = await before.query("SELECT pg_relation_filenode('credits') AS file");
    await before.query("CREATE INDEX somebodys_own ON credits (sender)");
    await migrate(database.url);
    expect(await readBooks(before)).to.deep.equal(books);
    const [{ now }] = await before.query("SELECT pg_relation_filenode('credits_before_p116') AS now");
    expect(now, "no row was copied").to.equal(file);
    expect(new Set(await placesOf(before, "credits"))).to.deep.equal(new Set(["credits_before_p116"]));
    expect(await before.query("SELECT session_id, surplus FROM session_payments")).to.have.length(2);
    expect(await before.query("SELECT FROM pg_indexes WHERE indexname LIKE 'somebodys_own%'")).to.have.length(
      2,
    );
    await settle(
      before,
      sessions.slice(2, 5).map((session) => creditFor(session)),
    );
    expect(findContradictions(await readBooks(before))).to.deep.equal([]);
  });

  for (const [what, statement, rows] of OF_THE_VERSION_BEFORE) {
    it(`leaves the version before as it was when it ${what}`, async () => {
      await migrate(database.url);
      const found = await before.query(statement, [sessions[1]?.id, sessions[5]?.id]);
      expect(found).to.have.length(rows);
    });
  }

  it("runs beside consumers of the version before, on their connections and prepared statements", async () => {
    let isDone = false;
    const migrated = migrate(database.url).finally(() => {
      isDone = true;
    });
    let next = 2;
    const settled = async () => {
      // At least two after the migration.
      for (let after = 0; after < 2 && next < sessions.length; after += isDone ? 1 : 0) {
        const session = sessions[next++];
        if (session !== undefined) await settle(before, [creditFor(session)]);
      }
    };
    await Promise.all([migrated, settled()]);
    const books = await readBooks(before);
    expect(findContradictions(books)).to.deep.equal([]);
    expect(books.payments).to.have.length(next);
    expect(await before.query("SELECT FROM session_payments")).to.have.length(next);
    expect(await before.query("SELECT FROM payment_exceptions WHERE reason = 'unreadable'")).to.deep.equal(
      [],
    );
  });

  it("that was interrupted is begun anew", async () => {
    const audit = before.createQueryRunner();
    const runner = before.createQueryRunner();
    try {
      // As an audit does, for as long as it reads.
      await audit.startTransaction("REPEATABLE READ");
      await audit.query("SELECT count(*) FROM payments");
      const gaveUp = new Partitions9().up(runner).then(
        () => null,
        (error: unknown) => error,
      );
      await before.query("SELECT pg_sleep(1)");
      const [{ pid }] = await before.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      await before.query("SELECT pg_terminate_backend($1)", [pid]);
      expect(await gaveUp).not.to.equal(null);
    } finally {
      await audit.rollbackTransaction();
      await audit.release();
      await runner.release().catch(() => undefined);
    }
    await settle(before, [creditFor(sessions[7] as CheckoutSession)]);
    await migrate(database.url);
    expect(await migrate(database.url)).to.deep.equal([]);
    expect(await before.query("SELECT FROM session_payments")).to.have.length(3);
    expect(
      await before.query("SELECT FROM pg_constraint WHERE conname = 'history_before_partitions'"),
    ).to.deep.equal([]);
  });

  it("lets those who may read the tables read them still", async () => {
    const reader = `reader_${uuidv7().replaceAll("-", "")}`;
    await before.query(`CREATE ROLE ${reader}; GRANT SELECT ON credits, payments TO ${reader}`);
    try {
      await migrate(database.url);
      const may = `SELECT has_table_privilege('${reader}', 'credits', 'SELECT') AS read, has_table_privilege('${reader}', 'credits', 'INSERT') AS write`;
      expect(await before.query(may)).to.deep.equal([{ read: true, write: false }]);
    } finally {
      await before.query(`DROP OWNED BY ${reader}; DROP ROLE ${reader}`);
    }
  });
});
