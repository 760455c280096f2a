import { expect } from "chai";
import type { MigrationInterface, QueryRunner } from "typeorm";
import { createDataSource, MIGRATIONS } from "../../src/entities/data-source.js";
import { migrate, UnreleasedSchemaError } from "../../src/entities/migrate.js";
import { connect, createEmptyDatabase, type EmptyDatabase } from "../support/database.js";
import { eventually } from "../support/stream.js";

const [HASH, ISSUER] = ["0123456789abcdef".repeat(4), `G${"A7".repeat(27)}Z`];

/** Constraint, column, the pattern that it stands for, and texts on both sides of it. */
const PATTERNS: readonly [string, string, string, readonly string[]][] = [
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

/** Takes the strongest lock on a table that everybody uses. */
class AddColumn implements MigrationInterface {
  readonly name = "AddColumn0000000000002";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("ALTER TABLE checkout_sessions ADD COLUMN note text");
  }

  async down(): Promise<void> {}
}

describe("migrations", () => {
  let database: EmptyDatabase;

  beforeEach(async () => {
    database = await createEmptyDatabase();
  });
  afterEach(() => database.close());

  it("make the schema, once", async () => {
    expect(await migrate(database.url)).to.deep.equal(["Schema0000000000001"]);
    expect(await migrate(database.url), "a second time there is nothing to do").to.deep.equal([]);
  });

  it("refuse a database of a version before the first release, say what to do, and change nothing", async () => {
    const old = await connect(database.url);
    try {
      await old.query(`
        CREATE TABLE migrations (id serial PRIMARY KEY, timestamp bigint NOT NULL, name varchar NOT NULL);
        INSERT INTO migrations (timestamp, name) VALUES (1, 'Spine0000000000001');
        CREATE TABLE merchants (id uuid PRIMARY KEY)`);
      const error: unknown = await migrate(database.url).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(UnreleasedSchemaError);
      expect(String(error)).to.match(/Make it anew: .*\(\.paidonce\)/);
      const tables = await old.query(
        "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
      );
      expect(tables).to.have.length(2);
    } finally {
      await old.destroy();
    }
  });

  it("check the form of texts without patterns, and take and refuse the same as those would", async () => {
    await migrate(database.url);
    const now = await connect(database.url);
    try {
      for (const [constraint, column, pattern, texts] of PATTERNS) {
        const [{ expression }] = await now.query(
          "SELECT pg_get_expr(conbin, conrelid) AS expression FROM pg_constraint WHERE conname = $1",
          [constraint],
        );
        const judged: { text: string; wanted: boolean; got: boolean }[] = await now.query(
          `SELECT ${column} AS text, ${column} ~ $2 AS wanted, ${expression} AS got FROM unnest($1::text[]) AS t (${column})`,
          [texts, pattern],
        );
        for (const row of judged) expect(row.got, `${constraint}: ${row.text}`).to.equal(row.wanted);
        expect(new Set(judged.map((row) => row.got)).size, constraint).to.equal(2);
      }
    } finally {
      await now.destroy();
    }
  });

  it("that wait for a lock hold up nobody else, and go on when they get it", async () => {
    await migrate(database.url);
    const first = await connect(database.url);
    // What ends a statement or a forgotten transaction must not be what ends this one.
    const patient = { url: database.url, applicationName: "report", statementTimeoutMs: 600_000 };
    const now = await createDataSource(patient).initialize();
    const report = now.createQueryRunner();
    try {
      await report.startTransaction();
      await report.query("SELECT count(*) FROM checkout_sessions");
      const migrating = migrate(database.url, [...MIGRATIONS, AddColumn]);
      const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      await eventually(async () => (await first.query(waiting)).length > 0);
      // Behind the one that waits. Without a limit it would wait as long as the report does, and this test for ever.
      await now.query("SELECT count(*) FROM checkout_sessions");
      await report.commitTransaction();
      expect(await migrating).to.deep.equal(["AddColumn0000000000002"]);
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
});
