import { expect } from "chai";
import type { QueryRunner } from "typeorm";
import { type ChargeFilter, listCharges, listOpenCharges } from "../../src/charges/read-charges.js";
import { readOpenCharges } from "../../src/status/read-open.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Rows of the history, of two merchants. What a query may read of them is a hundredth. */
const HISTORY = 10_000;
const FEW = HISTORY / 100;

describe("what is asked about charges while their history grows", () => {
  let database: TestDatabase;
  let merchantId: string;

  before(async () => {
    database = await createTestDatabase();
    ({ merchantId } = await watchAccount(database.dataSource));
    const { merchantId: other } = await watchAccount(database.dataSource);
    await database.dataSource.query(
      `INSERT INTO charges (id, merchant_id, reference, provider, currency, amount, payload)
       SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n % 100 = 0 THEN $1::uuid ELSE $2 END, 'order-' || n,
              'test', 'EUR', 1, '{}'
       FROM generate_series(1, ${HISTORY}) AS n`,
      [merchantId, other],
    );
    await database.dataSource.query("UPDATE charges SET status = 'processing'");
    await database.dataSource.query(
      "UPDATE charges SET status = 'succeeded', provider_id = reference, ended_at = now()",
    );
    await database.dataSource.query("VACUUM ANALYZE charges");
  });
  after(() => database.close());

  /** Of charges and its indexes. Postgres counts for the connection: what was before is taken off. */
  const counted = async (runner: QueryRunner): Promise<number> => {
    const [read]: { rows: string }[] = await runner.query(
      `SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0) AS rows FROM pg_class
       WHERE oid = 'charges'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'charges'::regclass)`,
    );
    return Number(read?.rows);
  };
  /** How many rows and index entries `work` makes Postgres read. */
  const rowsRead = async (work: (runner: QueryRunner) => Promise<unknown>): Promise<number> => {
    const runner = database.dataSource.createQueryRunner();
    try {
      await runner.startTransaction();
      const before = await counted(runner);
      await work(runner);
      const after = await counted(runner);
      await runner.rollbackTransaction();
      return after - before;
    } finally {
      await runner.release();
    }
  };

  for (const [what, filter] of [
    ["a merchant's newest", {}],
    ["a reference", { reference: "order-500" }],
    ["a reference that is not there", { reference: "nothing" }],
    ["a status that nothing has", { status: "unknown" }],
    ["a time in which nothing was", { createdAfter: new Date() }],
  ] as const satisfies [string, Omit<ChargeFilter, "merchantId">][]) {
    it(`a list by ${what} reads an index, and few rows`, async () => {
      const read = await rowsRead(({ manager }) => listCharges(manager, { merchantId, ...filter }, null, 20));
      expect(read).to.be.below(FEW + 1);
    });
  }

  it("a page far behind begins where it begins", async () => {
    const before = `${"0".repeat(8)}-0000-0000-0000-${(300).toString(16).padStart(12, "0")}`;
    expect(await rowsRead(({ manager }) => listCharges(manager, { merchantId }, before, 20))).to.be.below(
      FEW,
    );
  });

  it("operators' lists and the status read what is open", async () => {
    expect(await rowsRead(({ manager }) => listOpenCharges(manager, "unknown", 20))).to.be.below(FEW);
    expect(await rowsRead(({ manager }) => readOpenCharges(manager))).to.be.below(FEW);
  });

  it("(and what reads everything is seen to do so)", async () => {
    const read = await rowsRead(({ manager }) =>
      manager.query("SELECT count(*) FROM charges WHERE amount = 1"),
    );
    expect(read).to.be.at.least(HISTORY);
  });
});
