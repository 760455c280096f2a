import { expect } from "chai";
import {
  PAID_WITHOUT_PAYMENT,
  PAYMENT_WITHOUT_PAID,
  PROCESSING_TOO_LONG,
} from "../../src/recovery/broken-sessions.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Sessions that are well: paid, pending, and expired. */
const WELL = 30_000;

type Plan = { "Node Type": string; "Relation Name"?: string; Plans?: Plan[] } & Record<string, unknown>;

describe("the cost of looking for what is broken", () => {
  let database: TestDatabase;

  before(async function () {
    this.timeout(120_000);
    database = await createTestDatabase();
    const { account, merchantId } = await watchAccount(database.dataSource);
    // In parts: a statement may take no longer here than anywhere.
    for (let from = 1; from < WELL; from += 3_000) {
      const range = [from, from + 2_999];
      await database.dataSource.query(
        `INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at, status, paid_at)
         SELECT gen_random_uuid(), $1, $2, 'id:' || n, 'native', 1, now(),
                CASE n % 3 WHEN 0 THEN 'paid' WHEN 1 THEN 'pending' ELSE 'expired' END,
                CASE n % 3 WHEN 0 THEN now() END
         FROM generate_series($3::integer, $4::integer) AS n`,
        [merchantId, account, ...range],
      );
      await database.dataSource.query(
        `INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record, memo_key)
         SELECT n, 0, 'payment', $1, repeat('a', 64), 'native', 1, now(), '{}', 'id:' || n
         FROM generate_series($2::integer, $3::integer) AS n WHERE n % 3 = 0`,
        [account, ...range],
      );
      await database.dataSource.query(
        `INSERT INTO payments (operation_id, move_index, session_id, surplus)
         SELECT c.operation_id, 0, s.id, 0 FROM credits c JOIN checkout_sessions s USING (account, memo_key)
         WHERE c.operation_id BETWEEN $1 AND $2`,
        range,
      );
    }
    await database.dataSource.query("VACUUM ANALYZE");
  });
  after(() => database.close());

  const plan = async (
    query: string,
    values: unknown[],
  ): Promise<{ blocks: number; rows: number; nodes: Plan[] }> => {
    const [row] = await database.dataSource.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${query}`, values);
    const [{ Plan: root }] = row["QUERY PLAN"];
    const nodes: Plan[] = [];
    const walk = (node: Plan) => {
      nodes.push(node);
      for (const child of node.Plans ?? []) walk(child);
    };
    walk(root);
    return {
      blocks: root["Shared Hit Blocks"] + root["Shared Read Blocks"],
      rows: root["Actual Rows"],
      nodes,
    };
  };
  const QUERIES: readonly (readonly [what: string, query: string, values: unknown[], breakOne: string])[] = [
    [
      "sessions in processing",
      PROCESSING_TOO_LONG,
      ["run", 300],
      "UPDATE checkout_sessions SET status = 'processing', processing_since = now() - interval '1 hour' WHERE memo_key IN ('id:1', 'id:4')",
    ],
    [
      "sessions paid without a payment",
      PAID_WITHOUT_PAYMENT,
      ["run"],
      "DELETE FROM payments WHERE operation_id IN (3, 6)",
    ],
    [
      "payments without a paid session",
      PAYMENT_WITHOUT_PAID,
      ["run"],
      "UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE memo_key IN ('id:9', 'id:12')",
    ],
  ];
  for (const [what, query, values, breakTwo] of QUERIES) {
    it(`${what}: follows the broken rows, not the ${WELL} others`, async () => {
      const well = await plan(query, values);
      await database.dataSource.query(breakTwo);
      const broken = await plan(query, values);
      expect([well.rows, broken.rows]).to.deep.equal([0, 2]);
      for (const { nodes, blocks } of [well, broken]) {
        const scans = nodes.filter((node) => node["Relation Name"] === "checkout_sessions");
        expect(scans.map((node) => node["Node Type"]).join()).to.match(/Index|Bitmap/);
        expect(blocks, "pages read").to.be.lessThan(60);
      }
    });
  }
});
