import { expect } from "chai";
import { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { createDataSource } from "../../src/entities/data-source.js";
import { migrate } from "../../src/entities/migrate.js";
import { Spine1 } from "../../src/entities/migrations/0001-spine.js";
import { newAccount } from "../support/books.js";
import { connect, createEmptyDatabase, type EmptyDatabase } from "../support/database.js";
import { eventually } from "../support/stream.js";

const [HASH, ISSUER] = ["0123456789abcdef".repeat(4), `G${"A7".repeat(27)}Z`];

/** Constraint, column, the pattern that it was before, and texts on both sides of it. */
const REPLACED: readonly [string, string, string, readonly string[]][] = [
  [
    "credits_transaction_hash_form",
    "transaction_hash",
    "^[0-9a-f]{64}$",
    [
      HASH,
      "",
      HASH.slice(1),
      `${HASH}0`,
      HASH.toUpperCase(),
      `${HASH.slice(1)}g`,
      `${HASH}\n`,
      `${HASH.slice(1)}é`,
    ],
  ],
  [
    "sessions_memo_key_canonical",
    "memo_key",
    "^(text:([0-9a-f]{2}){1,28}|hash:[0-9a-f]{64}|(id|muxed):(0|[1-9][0-9]{0,19}))$",
    [
      ...[
        "",
        ":",
        "id",
        "id:",
        "id:0",
        "id:00",
        "id:07",
        "id:7",
        "id:70",
        "id:-1",
        "id: 1",
        "id:1\n",
        "id:1:1",
        "ID:1",
      ],
      ...[
        "id:12345678901234567890",
        "id:123456789012345678901",
        "muxed:",
        "muxed:0",
        "muxed:01",
        "muxed:9",
        "mux:9",
      ],
      ...["text:", "text:a", "text:ab", "text:abc", "text:AB", "text:zz", "text:a:", "text:é1", " text:ab"],
      ...[`text:${"0".repeat(56)}`, `text:${"0".repeat(57)}`, `text:${"0".repeat(58)}`],
      ...[
        `hash:${HASH}`,
        `hash:${HASH}0`,
        `hash:${HASH.slice(1)}`,
        `hash:${HASH.toUpperCase()}`,
        `hash${HASH}:`,
      ],
    ],
  ],
  [
    "sessions_asset_has_issuer",
    "asset",
    "^(native|[a-zA-Z0-9]{1,12}:G[A-Z2-7]{55})$",
    [
      ...[
        "native",
        "",
        "Native",
        "native:",
        ":",
        `:${ISSUER}`,
        `USDC:${ISSUER}`,
        `a:${ISSUER}`,
        `usdc9:${ISSUER}`,
      ],
      ...[
        `ABCDEFGHIJKL:${ISSUER}`,
        `ABCDEFGHIJKLM:${ISSUER}`,
        `US C:${ISSUER}`,
        `USDC:${ISSUER}A`,
        `USDC:${ISSUER.slice(1)}A`,
      ],
      ...[
        `USDC:${ISSUER.slice(1)}`,
        `USDC:${ISSUER.toLowerCase()}`,
        `USDC::${ISSUER}`,
        `USDC:${ISSUER.slice(0, 55)}1`,
        "USDC",
      ],
      ...[`USDC:${ISSUER}\n`, `USDÉ:${ISSUER}`],
    ],
  ],
];

describe("migrations", () => {
  let database: EmptyDatabase;

  beforeEach(async () => {
    database = await createEmptyDatabase();
  });
  afterEach(() => database.close());

  it("bring the books of the first version along: who is told of what, and whose account it is", async () => {
    const [merchant, session, event] = [uuidv7(), uuidv7(), uuidv7()];
    const account = newAccount();
    const first = await openFirst();
    await first.query(`
      INSERT INTO merchants (id, name) VALUES ('${merchant}', 'Old');
      INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${account}', 0, 0);
      INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, status, paid_at, expires_at)
        VALUES ('${session}', '${merchant}', '${account}', 'id:1', 'native', 10, 'paid', now(), now());
      INSERT INTO outbox_events (id, type, session_id, body) VALUES ('${event}', 'payment.confirmed', '${session}', '{}')`);
    await first.destroy();

    expect(await migrate(database.url)).to.have.length.above(1);
    expect(await migrate(database.url), "a second time there is nothing to do").to.deep.equal([]);

    const now = await connect(database.url);
    try {
      const [told] = await now.query("SELECT id, merchant_id, subject, position FROM outbox_events");
      expect(told).to.deep.equal({ id: event, merchant_id: merchant, subject: session, position: null });
      const accounts = await now.query("SELECT account, merchant_id, assets FROM receiving_accounts");
      expect(accounts).to.deep.equal([{ account, merchant_id: merchant, assets: ["native"] }]);
    } finally {
      await now.destroy();
    }
  });

  it("replaced patterns by checks that take and refuse the same", async () => {
    await migrate(database.url);
    const now = await connect(database.url);
    try {
      for (const [constraint, column, pattern, texts] of REPLACED) {
        const [{ expression }] = await now.query(
          "SELECT pg_get_expr(conbin, conrelid) AS expression FROM pg_constraint WHERE conname = $1",
          [constraint],
        );
        const judged: { text: string; before: boolean; now: boolean }[] = await now.query(
          `SELECT ${column} AS text, ${column} ~ $2 AS before, ${expression} AS now FROM unnest($1::text[]) AS t (${column})`,
          [texts, pattern],
        );
        for (const row of judged) expect(row.now, `${constraint}: ${row.text}`).to.equal(row.before);
        expect(new Set(judged.map((row) => row.now)).size, constraint).to.equal(2);
      }
    } finally {
      await now.destroy();
    }
  });

  it("that wait for a lock hold up nobody else, and go on when they get it", async () => {
    const first = await openFirst();
    // What ends a statement or a forgotten transaction must not be what ends this one.
    const patient = { url: database.url, applicationName: "report", statementTimeoutMs: 600_000 };
    const now = await createDataSource(patient).initialize();
    const report = now.createQueryRunner();
    try {
      await report.startTransaction();
      await report.query("SELECT count(*) FROM checkout_sessions");
      const migrating = migrate(database.url);
      const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      await eventually(async () => (await first.query(waiting)).length > 0);
      // Behind the one that waits. Without a limit it would wait as long as the report does, and this test for ever.
      await now.query("SELECT count(*) FROM checkout_sessions");
      await report.commitTransaction();
      expect(await migrating).to.have.length.above(1);
    } finally {
      await report.release();
      await now.destroy();
      await first.destroy();
    }
  });

  it("of several replicas at once are run by one of them", async () => {
    const done = await Promise.all([1, 2, 3].map(() => migrate(database.url)));
    expect(done.filter((names) => names.length > 0)).to.have.length(1);
  });

  /** The database as the first version has made it. */
  async function openFirst(): Promise<DataSource> {
    const first = await new DataSource({
      type: "postgres",
      url: database.url,
      migrations: [Spine1],
      migrationsTableName: "migrations",
      installExtensions: false,
    }).initialize();
    await first.runMigrations();
    return first;
  }
});
