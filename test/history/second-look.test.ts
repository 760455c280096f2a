import { expect } from "chai";
import { detachPartitions } from "../../src/history/detach-partitions.js";
import { DetachRefusedError } from "../../src/history/plan-detach.js";
import { settle } from "../../src/settlement/settle.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { createPartitions, firstLedger, inPartition } from "../support/partitions.js";
import { eventually } from "../support/stream.js";

describe("detaching old partitions", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("looks again once nobody can write any more: what came while it waited for its locks keeps them where they are", async () => {
    const { dataSource } = database;
    const owner = await watchAccount(dataSource);
    const [session] = await openSessions(dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    await createPartitions(dataSource, 114, 115);
    // The second is a duplicate, which somebody has decided about.
    await settle(dataSource, [
      creditFor(session, { operationId: inPartition(114, 1) }),
      creditFor(session, { operationId: inPartition(114, 2) }),
    ]);
    await dataSource.query(`INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
      SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions`);
    await dataSource.query("UPDATE stream_cursors SET watermark = $1", [inPartition(115, 9).toString()]);

    const writer = dataSource.createQueryRunner();
    try {
      for (;;) {
        await writer.startTransaction();
        // What it deletes nobody else sees before the commit, and the tables can't be locked before it either.
        await writer.query("DELETE FROM exception_verdicts");
        const outcome = detachPartitions(dataSource, { ledger: firstLedger(115) }, { unaudited: true }).then(
          () => "detached",
          (error: unknown) => {
            if (!(error instanceof DetachRefusedError)) throw error;
            return error.message;
          },
        );
        let words: string | null = null;
        void outcome.then((said) => {
          words = said;
        });
        await eventually(async () => words !== null || (await isWaiting()));
        await writer.commitTransaction();
        const said = await outcome;
        // On a machine that stood still it has waited for longer than it may: once more.
        if (said.includes("in use for longer")) {
          await dataSource.query(`INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
            SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions`);
          continue;
        }
        expect(said).to.match(/1 exceptions have no verdict/);
        break;
      }
    } finally {
      await writer.release();
    }
    expect(await dataSource.query("SELECT FROM archived_partitions")).to.deep.equal([]);
    expect(await dataSource.query("SELECT FROM credits")).to.have.length(2);
  });

  async function isWaiting(): Promise<boolean> {
    const rows: unknown[] = await database.dataSource.query(
      `SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    return rows.length > 0;
  }
});
