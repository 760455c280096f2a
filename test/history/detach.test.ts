import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { auditAccount, RangeArchivedError } from "../../src/audit/audit-account.js";
import { checkCharges, checkSessions } from "../../src/audit/check-books.js";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { detachPartitions } from "../../src/history/detach-partitions.js";
import { type Before, DetachRefusedError } from "../../src/history/plan-detach.js";
import { preparePartitions } from "../../src/history/prepare-partitions.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { readCheckout } from "../../src/http/checkout/read-checkout.js";
import { violatedConstraint } from "../../src/postgres/database-errors.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { supplyPayment } from "../../src/settlement/mark-paid.js";
import { listPayments } from "../../src/settlement/read-payments.js";
import { readSession } from "../../src/settlement/read-sessions.js";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { anUnreadable, aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { createPartitions, creditIn, firstLedger, inPartition } from "../support/partitions.js";

const BEFORE_115: Before = { ledger: firstLedger(115) };

describe("old partitions", () => {
  let database: TestDatabase;
  let owner: Awaited<ReturnType<typeof watchAccount>>;
  let old: CheckoutSession;
  let surplus: CheckoutSession;
  let recent: CheckoutSession;

  /** In partition 114 a payment, an overpaid one, a duplicate with its verdict; in 115 a payment. All of it audited. */
  beforeEach(async () => {
    database = await createTestDatabase();
    owner = await watchAccount(database.dataSource);
    const sessions = Array.from({ length: 3 }, () => aSession(owner));
    [old, surplus, recent] = (await openSessions(database.dataSource, ...sessions)) as [
      CheckoutSession,
      CheckoutSession,
      CheckoutSession,
    ];
    await createPartitions(database.dataSource, 114, 115);
    await settle(database.dataSource, [
      creditIn(114, old, 1),
      creditFor(surplus, { operationId: inPartition(114, 2), amount: toStroops(surplus.amount + 5n) }),
      creditFor(old, { operationId: inPartition(114, 3) }),
      creditFor(recent, { operationId: inPartition(115, 1), closedAt: new Date("2026-11-01T12:30:00Z") }),
    ]);
    await query(`INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
      SELECT operation_id, move_index, 'refund', reason, session_id, detail, raised_at, 'n', 'b' FROM payment_exceptions`);
    await query("UPDATE stream_cursors SET watermark = $1", [inPartition(115, 9).toString()]);
    await audited(0n, inPartition(115, 9));
  });
  afterEach(() => database.close());

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  const audited = (from: bigint, to: bigint, differences = 0) =>
    query(
      `INSERT INTO audits (id, account, from_cursor, checked_through, to_cursor, differences, finished_at)
       VALUES ($1, $2, $3, $4, $4, $5, now())`,
      [uuidv7(), owner.account, `${from}`, `${to}`, differences],
    );
  const refusals = async (before: Before = BEFORE_115): Promise<string> => {
    const error: unknown = await detachPartitions(database.dataSource, before).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(DetachRefusedError);
    expect(await query("SELECT FROM archived_partitions")).to.deep.equal([]);
    return String(error);
  };

  it("go to the archive whole, with their references, and the books begin after them", async () => {
    const { partitions, counts } = await detachPartitions(database.dataSource, BEFORE_115);
    expect(partitions.map(({ name }) => name)).to.deep.equal(["p0", "p1", "p114"]);
    expect(counts[2]).to.deep.equal({ credits: 3, payments: 2, exceptions: 1, verdicts: 1 });
    expect(await query("SELECT count(*)::int AS credits FROM credits")).to.deep.equal([{ credits: 1 }]);
    expect(await query("SELECT FROM archive.credits_p114")).to.have.length(3);
    const deleted = await query("DELETE FROM archive.credits_p114").catch(violatedConstraint);
    expect(deleted).to.be.oneOf([
      "payments_credit_is_a_payment",
      "exceptions_credit_is_an_exception",
      "verdicts_credit_exists",
    ]);
    const [row] = await query("SELECT name, credits, audited FROM archived_partitions WHERE name = 'p114'");
    expect(row).to.deep.equal({ name: "p114", credits: "3", audited: true });
    // What is done to the archive is nothing to the books.
    await query("DROP TABLE archive.exception_verdicts_p114, archive.payment_exceptions_p114");
    await query("DELETE FROM archive.payments_p114");
    await query("DROP TABLE archive.payments_p114, archive.credits_p114");
    expect(await query("SELECT FROM session_payments")).to.have.length(3);
    expect(await query("SELECT FROM checkout_sessions WHERE has_payment AND status = 'paid'")).to.have.length(
      3,
    );
  });

  it("G1: a credit of the archive that comes again counts no second time, nor do its neighbours wait", async () => {
    await detachPartitions(database.dataSource, BEFORE_115);
    const [fresh] = await openSessions(database.dataSource, aSession(owner));
    if (fresh === undefined) throw new Error("no session");
    const settlements = await settle(database.dataSource, [
      creditIn(114, old, 1),
      anUnreadable(owner.account, { operationId: inPartition(114, 8) }),
      creditIn(3, fresh, 1),
      creditIn(115, fresh, 2),
    ]);
    const told = settlements.map((one) => [
      one.movement.operationId,
      one.kind === "redelivered" ? one.recorded.kind : one.outcome.kind,
    ]);
    expect(told).to.have.deep.members([
      [inPartition(114, 1), "archived"],
      [inPartition(114, 8), "archived"],
      [inPartition(3, 1), "archived"],
      [inPartition(115, 2), "payment"],
    ]);
    expect(await query("SELECT FROM credits")).to.have.length(2);
    expect(await query("SELECT FROM outbox_events WHERE type = 'payment.confirmed'")).to.have.length(4);
  });

  it("G1: nor by a hand in the database, and no partition can be made for it again", async () => {
    await detachPartitions(database.dataSource, BEFORE_115);
    const credit = `INSERT INTO credits (operation_id, move_index, outcome, account, record)
      VALUES (${inPartition(114)}, 0, 'exception', '${owner.account}', '{}')`;
    expect(await query(credit).catch(violatedConstraint)).to.equal("credits_not_archived");
    expect(await query("SELECT create_partition(114)").catch(violatedConstraint)).to.equal(
      "credits_not_archived",
    );
    expect(await preparePartitions(database.dataSource)).to.deep.equal({ created: 3, moved: 0 });
  });

  it("G2: their sessions stay paid, by what paid them, and can't be paid again", async () => {
    await detachPartitions(database.dataSource, BEFORE_115);
    const { manager } = database.dataSource;
    const session = await readSession(manager, surplus.id);
    expect(session).to.include({ status: "paid", anomaly: "overpaid" });
    expect((await readCheckout(manager, surplus.id))?.surplus).to.equal(5n);
    expect(await listPayments(manager, owner.merchantId, { sessionId: old.id }, null, 10)).to.deep.equal([]);
    expect(await listPayments(manager, owner.merchantId, { sessionId: recent.id }, null, 10)).to.have.length(
      1,
    );
    const second = `INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
      VALUES (${inPartition(115, 5)}, 0, 'payment', '${owner.account}', repeat('a', 64), 'native', 1, now(), '{}');
      INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (${inPartition(115, 5)}, 0, '${old.id}', 0)`;
    expect(await query(second).catch(violatedConstraint)).to.equal("payments_one_per_session");
    await query("TRUNCATE payments");
    expect(await query(second).catch(violatedConstraint)).to.equal("payments_one_per_session");
  });

  it("recovery takes nothing of them for a session that lost its payment", async () => {
    await query("DELETE FROM payments WHERE session_id = $1", [recent.id]);
    await query("UPDATE checkout_sessions SET payable_after = $1 WHERE id = $2", [
      inPartition(115).toString(),
      recent.id,
    ]);
    await detachPartitions(database.dataSource, BEFORE_115);
    const supply = (id: CheckoutSession["id"], credit = creditIn(114, recent, 1)) =>
      inSerializableTransaction(database.dataSource, (runner) => supplyPayment(runner, id, credit));
    expect(await supply(old.id)).to.deep.equal({ kind: "nothing_to_do" });
    expect(await supply(recent.id)).to.include({ kind: "unfit" });
  });

  it("G6: their charges stay succeeded, and are told from those that nothing has paid", async () => {
    const [archived, unpaid] = [uuidv7(), uuidv7()];
    const charge = (id: string) => `
      INSERT INTO charges (id, merchant_id, reference, provider, asset, account, amount, payload)
        VALUES ('${id}', '${owner.merchantId}', '${id}', 'stellar', 'native', '${owner.account}', 10, '{}');
      UPDATE charges SET status = 'processing', attempts = 1 WHERE id = '${id}';
      UPDATE charges SET status = 'succeeded', provider_id = '${id}', ended_at = now() WHERE id = '${id}'`;
    await query(`${charge(archived)}; ${charge(unpaid)};
      INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
        VALUES (${inPartition(114, 5)}, 0, 'payment', '${owner.account}', repeat('a', 64), 'native', 10, now(), '{}');
      INSERT INTO payments (operation_id, move_index, charge_id, surplus) VALUES (${inPartition(114, 5)}, 0, '${archived}', 0)`);
    await detachPartitions(database.dataSource, BEFORE_115);
    const { manager } = database.dataSource;
    const through = inPartition(115, 9);
    const found = await checkCharges(manager, owner.account, inPartition(115), through, null);
    expect(found.map(({ kind, subject }) => [kind, subject])).to.deep.equal([["charge_unpaid", unpaid]]);
    expect(await checkSessions(manager, owner.account, inPartition(115), through, null)).to.deep.equal([]);
  });

  it("an audit of their ledgers says that they are in the archive instead of calling them missing", async () => {
    await detachPartitions(database.dataSource, BEFORE_115);
    const parts = {
      dataSource: database.dataSource,
      horizon: new HorizonClient({ url: "http://127.0.0.1:9" }),
      signal: new AbortController().signal,
    };
    const error: unknown = await auditAccount(parts, owner.account, { from: firstLedger(114) }).catch(
      (e: unknown) => e,
    );
    expect(error).to.be.instanceOf(RangeArchivedError);
    expect(String(error)).to.include(`begin with ledger ${firstLedger(115)}`);
  });

  it("go by the time their last credit closed, too", async () => {
    const { partitions } = await detachPartitions(database.dataSource, {
      time: new Date("2026-11-01T12:15:00Z"),
    });
    expect(partitions.map(({ name }) => name)).to.deep.equal(["p0", "p1", "p114"]);
  });

  it("stay where nothing ends before that", async () => {
    expect(await refusals({ ledger: firstLedger(0) })).to.match(
      /no partition .* the oldest ends with ledger 524287/,
    );
    expect(await refusals({ time: new Date("2020-01-01") })).to.match(/no partition lies wholly before that/);
  });

  const OBSTACLES: readonly (readonly [what: string, statement: () => string, line: RegExp])[] = [
    [
      "credits of theirs may be on their way",
      () => `UPDATE stream_cursors SET watermark = ${inPartition(114, 9)}`,
      /is settled up to ledger 59768841 only, not 60293119: wait for its ingest/,
    ],
    [
      "an exception waits for a verdict",
      () => "DELETE FROM exception_verdicts",
      /1 exceptions have no verdict: `paidonce exceptions list`/,
    ],
    [
      "no audit has covered all of them",
      () => `UPDATE audits SET from_cursor = ${inPartition(114, 2)}`,
      /has no audit without a difference .* `paidonce audit --account G/,
    ],
    [
      "the audit has found something",
      () => "UPDATE audits SET differences = 1",
      /has no audit without a difference/,
    ],
    [
      "a session of theirs contradicts its payment",
      () => `UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = '${old.id}'`,
      /1 sessions contradict their payments: `paidonce recover`/,
    ],
    [
      "a session is paid, and recovery still looks for its payment there",
      () => `DELETE FROM payments WHERE session_id = '${old.id}'`,
      /1 sessions contradict their payments: `paidonce recover`/,
    ],
    [
      "credits of theirs lie in the default",
      () => `INSERT INTO credits (operation_id, move_index, outcome, account, record)
        VALUES (${inPartition(3)}, 0, 'exception', '${owner.account}', '{}')`,
      /1 credits before ledger 60293120 lie in the default partition: `paidonce partitions prepare`/,
    ],
  ];
  for (const [what, statement, line] of OBSTACLES) {
    it(`stay while ${what}`, async () => {
      await query(statement());
      expect(await refusals()).to.match(line);
      expect(await query("SELECT FROM credits")).to.have.length.at.least(4);
    });
  }

  it("of accounts in the network's feed go by how far that is settled", async () => {
    await query("UPDATE stream_cursors SET watermark = 0, in_network = true");
    const feed = "INSERT INTO network_feed (watermark, set_version, streams) VALUES ($1, 1, 1)";
    await query(feed, [inPartition(114, 9).toString()]);
    expect(await refusals()).to.match(/is settled up to ledger 59768841 only/);
    await query("UPDATE network_feed SET watermark = $1", [inPartition(115, 9).toString()]);
    expect((await detachPartitions(database.dataSource, BEFORE_115)).partitions).to.have.length(3);
  });

  it("go without an audit where a person says so, on the record", async () => {
    await query("DELETE FROM audits");
    await detachPartitions(database.dataSource, BEFORE_115, { unaudited: true });
    expect(await query("SELECT DISTINCT audited FROM archived_partitions")).to.deep.equal([
      { audited: false },
    ]);
  });

  it("stay while somebody reads them for longer than settlement may wait", async () => {
    const audit = database.dataSource.createQueryRunner();
    try {
      await audit.startTransaction("REPEATABLE READ");
      await audit.query("SELECT count(*) FROM credits");
      expect(await refusals()).to.match(/in use for longer than settlement may wait/);
    } finally {
      await audit.rollbackTransaction();
      await audit.release();
    }
  });
});
