import { Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { pino } from "pino";
import { type AuditReport, auditAccount } from "../../src/audit/audit-account.js";
import { auditNew } from "../../src/audit/audit-each.js";
import { lastCleanEnd } from "../../src/audit/audit-log.js";
import { HistoryMissingError } from "../../src/audit/network-pages.js";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { detachPartitions } from "../../src/history/detach-partitions.js";
import { preparePartitions } from "../../src/history/prepare-partitions.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { watchAccount as watchForTest } from "../support/books.js";
import { payAll, paymentOf } from "../support/ingest.js";
import { firstLedger } from "../support/partitions.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";
import { runAudit } from "./audit-command.js";

/** Paid, duplicate, underpaid, no memo, another asset: and a payment out, which is no credit. */
const CREDITS = 8;

const newestOf = (spine: Spine) => spine.stage.network.latest.sequence as LedgerSequence;

describe("audit", () => {
  let spine: Spine;
  let sessions: CheckoutSession[];

  beforeEach(async () => {
    spine = await Spine.open("optional");
    spine.ingest();
    spine.consume();
    sessions = await spine.sessions(5);
    const [first, second] = sessions;
    if (!first || !second) throw new Error("no sessions");
    payAll(spine.stage, spine.payer, [...sessions.slice(0, 4), first]);
    const { stage, payer, owner } = spine;
    const { asset } = stage.asset("USDC", [payer, owner.key], "5");
    const short = paymentOf(sessions[4] ?? first, toStroops(1n));
    stage.apply(stage.build(payer, [short.operation], { memo: short.memo }));
    stage.apply(stage.payment(payer, owner.account, "3"));
    stage.apply(
      stage.build(owner.key, [Operation.payment({ destination: payer.publicKey(), asset, amount: "1" })]),
    );
    await spine.settledAll(CREDITS);
    await untilAllIsRead();
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  /** Everything that the network has credited is read and settled. */
  const untilAllIsRead = async () => {
    const newest = endOfLedger(newestOf(spine));
    await eventually(async () => (await spine.readThrough()) >= newest);
  };
  const query = (sql: string) => spine.database.dataSource.query(sql);
  const parts = (signal = new AbortController().signal) => ({
    dataSource: spine.database.dataSource,
    horizon: new HorizonClient({ url: spine.stage.sandbox.url }),
    signal,
  });
  const audit = (range = {}): Promise<AuditReport> => auditAccount(parts(), spine.owner.account, range);
  const kinds = ({ differences }: AuditReport) => [...new Set(differences.map(({ kind }) => kind))].sort();

  it("G1 to G3: books that nobody touched are balanced, per asset and to the stroop", async () => {
    const report = await audit();
    expect(report.differences).to.deep.equal([]);
    expect(report.credits).to.equal(CREDITS);
    expect(report.totals.size).to.equal(2);
    for (const { credited, payments, exceptions } of report.totals.values()) {
      expect(credited).to.equal(payments + exceptions);
    }
    expect(await lastCleanEnd(spine.database.dataSource, spine.owner.account)).to.equal(report.to);
  });

  const A_PAYMENT = "(SELECT operation_id FROM payments ORDER BY operation_id LIMIT 1)";
  const AN_EXCEPTION = "(SELECT operation_id FROM payment_exceptions ORDER BY operation_id LIMIT 1)";
  const TAMPERED: readonly (readonly [what: string, sql: string, kinds: readonly string[]])[] = [
    [
      "an exception that was deleted",
      `DELETE FROM payment_exceptions WHERE operation_id = ${AN_EXCEPTION}`,
      ["misplaced", "not_conserved"],
    ],
    [
      "an amount changed by one stroop",
      `UPDATE credits SET amount = amount + 1 WHERE operation_id = ${A_PAYMENT}`,
      ["altered", "not_conserved"],
    ],
    [
      "a row that was invented",
      `WITH made AS (INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, memo_key, closed_at, record)
         SELECT operation_id, 7, 'exception', account, transaction_hash, asset, amount, memo_key, closed_at, record
         FROM credits WHERE operation_id = ${AN_EXCEPTION} RETURNING operation_id, move_index)
       INSERT INTO payment_exceptions (operation_id, move_index, reason, detail) SELECT operation_id, move_index, 'no_memo', '' FROM made`,
      ["not_conserved", "unknown"],
    ],
    [
      "a hash that is another's",
      `UPDATE credits SET transaction_hash = repeat('0', 64) WHERE operation_id = ${A_PAYMENT}`,
      ["altered"],
    ],
    [
      "a memo that is another's",
      `UPDATE credits SET memo_key = 'id:999' WHERE operation_id = ${A_PAYMENT}`,
      ["altered", "wrong_session"],
    ],
    [
      "a surplus that was made up",
      `UPDATE payments SET surplus = 1 WHERE operation_id = ${A_PAYMENT}`,
      ["altered"],
    ],
    [
      "a paid session that was flipped back",
      `UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = (SELECT session_id FROM payments LIMIT 1)`,
      ["unpaid"],
    ],
    [
      "a session flipped to paid",
      "UPDATE checkout_sessions SET status = 'paid', paid_at = now() WHERE status = 'pending'",
      ["no_payment"],
    ],
    [
      "an event that was deleted",
      "DELETE FROM outbox_events WHERE type = 'payment.confirmed'",
      ["not_announced"],
    ],
  ];
  for (const [what, sql, expected] of TAMPERED) {
    it(`catches ${what}`, async () => {
      await query(sql);
      expect(kinds(await audit())).to.deep.equal(expected);
      expect(await lastCleanEnd(spine.database.dataSource, spine.owner.account)).to.equal(null);
    });
  }

  it("catches a credit that the books never got", async () => {
    await query(`DELETE FROM payment_exceptions WHERE operation_id = ${AN_EXCEPTION}`);
    await query(`DELETE FROM credits c WHERE outcome = 'exception'
      AND NOT EXISTS (SELECT 1 FROM payment_exceptions e WHERE e.operation_id = c.operation_id)`);
    expect(kinds(await audit())).to.deep.equal(["missing", "not_conserved"]);
  });

  it("checks only the ledgers that were asked for", async () => {
    await query(`UPDATE credits SET amount = amount + 1 WHERE operation_id = ${A_PAYMENT}`);
    const [{ operation_id: altered }] = await query(
      "SELECT operation_id FROM payments ORDER BY operation_id LIMIT 1",
    );
    const ledger = Number(BigInt(altered) >> 32n);
    expect(kinds(await audit({ from: (ledger + 1) as LedgerSequence }))).to.deep.equal([]);
    expect(kinds(await audit({ to: (ledger - 1) as LedgerSequence }))).to.deep.equal([]);
    const within = { from: ledger as LedgerSequence, to: ledger as LedgerSequence };
    expect(kinds(await audit(within))).to.deep.equal(["altered", "not_conserved"]);
  });

  it("goes on after an interruption, and keeps what it had found", async () => {
    await query(`UPDATE payments SET surplus = 1 WHERE operation_id = ${A_PAYMENT}`);
    payAll(spine.stage, spine.payer, await spine.sessions(250));
    await spine.settledAll(CREDITS + 250);
    await untilAllIsRead();
    const stop = new AbortController();
    const pages: bigint[] = [];
    const interrupted = await auditAccount(
      {
        ...parts(stop.signal),
        onProgress: ({ checkedThrough, from }) => {
          if (checkedThrough > from) stop.abort(new Error("interrupted"));
        },
      },
      spine.owner.account,
    ).catch((error: unknown) => error);
    expect(interrupted).to.be.instanceOf(Error).with.property("message", "interrupted");
    // What comes meanwhile belongs to it too: it ends where the books do.
    payAll(spine.stage, spine.payer, await spine.sessions(1));
    await spine.settledAll(CREDITS + 251);
    await untilAllIsRead();
    const report = await auditAccount(
      { ...parts(), onProgress: ({ checkedThrough }) => pages.push(checkedThrough) },
      spine.owner.account,
    );
    expect((pages[0] ?? 0n) > report.from, "it did not begin anew").to.equal(true);
    expect(report.credits).to.equal(CREDITS + 251);
    expect(kinds(report)).to.deep.equal(["altered"]);
    for (const { credited, payments, exceptions } of report.totals.values()) {
      expect(credited).to.equal(payments + exceptions);
    }
  });

  it("the hourly job checks what is new, and again what it found until that is put right", async () => {
    const hourly = () => auditNew(parts(), silent);
    const pay = async (total: number) => {
      payAll(spine.stage, spine.payer, await spine.sessions(1));
      await spine.settledAll(total);
      await untilAllIsRead();
    };
    const newest = "(SELECT max(operation_id) FROM payments)";
    expect(await hourly()).to.deep.equal({ audited: CREDITS, differences: 0 });
    await pay(CREDITS + 1);
    expect(await hourly()).to.deep.equal({ audited: 1, differences: 0 });
    await pay(CREDITS + 2);
    await query(`UPDATE payments SET surplus = 1 WHERE operation_id = ${newest}`);
    expect(await hourly()).to.deep.equal({ audited: 1, differences: 1 });
    expect(await hourly()).to.deep.equal({ audited: 1, differences: 1 });
    await query(`UPDATE payments SET surplus = 0 WHERE operation_id = ${newest}`);
    expect(await hourly()).to.deep.equal({ audited: 1, differences: 0 });
  });

  it("an account that can't be audited keeps no other from its verdict: the command names each, and the sum", async () => {
    // A server that has forgotten what this account's audit begins with, and has all of the other one's.
    const { account: early } = await watchForTest(spine.database.dataSource);
    await query(`UPDATE stream_cursors SET starting_cursor = 0, watermark = ${endOfLedger(newestOf(spine))}
                 WHERE account = '${early}'`);
    const run = (...args: string[]) => runAudit(spine, ...args);
    const { code, output } = await run();
    expect(code).to.equal(1);
    expect(output).to.include(`${early}: NOT AUDITED; `).and.to.include(`${spine.owner.account}: balanced`);
    expect(output).to.include("2 accounts: 1 balanced, 0 with differences, 1 not audited");
    const rows = (await run("--json")).output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map((row) => ["not_audited" in row, row.account]).sort()).to.deep.equal(
      [
        [true, early],
        [false, spine.owner.account],
      ].sort(),
    );

    const lines: string[] = [];
    const logger = pino({ level: "error" }, { write: (line: string) => lines.push(line) });
    const failed = await auditNew(parts(), logger).catch((error: unknown) => String(error));
    expect(failed).to.include("1 of 2 accounts could not be audited");
    expect(lines.join()).to.include(early);
    expect(await lastCleanEnd(spine.database.dataSource, spine.owner.account)).to.not.equal(null);
  });

  it("runs on schedule in the job worker, and stops with it", async () => {
    const worker = new Worker({
      dataSource: spine.database.dataSource,
      logger: silent,
      horizon: new HorizonClient({ url: spine.stage.sandbox.url }),
      connect: (name) =>
        connectRedis(spine.server.target, name, silent, {
          maxRetriesPerRequest: null,
          commandTimeout: undefined,
        }),
      everyMs: 50,
      rescheduleMs: 50,
    });
    worker.start();
    try {
      await eventually(
        async () => (await query("SELECT FROM audits WHERE finished_at IS NOT NULL")).length > 1,
      );
    } finally {
      await worker.stop();
    }
  });

  it("a server that has forgotten the range is no proof", async () => {
    await spine[Symbol.asyncDispose]();
    spine = await Spine.open("optional", { retention: 5 });
    for (let i = 0; i < 20; i++) spine.stage.network.closeLedger();
    await query(`UPDATE stream_cursors SET watermark = ${endOfLedger(newestOf(spine))}`);
    const error = await audit().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(HistoryMissingError);
  });

  it("goes on where the books begin when old months are in the archive, and finds nothing wrong with what is left", async () => {
    await spine[Symbol.asyncDispose]();
    const next = firstLedger(115);
    spine = await Spine.open("optional", { firstLedger: next - 30 });
    spine.ingest();
    spine.consume();
    const [old, recent] = await spine.sessions(2);
    if (!old || !recent) throw new Error("no sessions");
    payAll(spine.stage, spine.payer, [old]);
    expect(newestOf(spine)).to.be.lessThan(next);
    while (newestOf(spine) < next) spine.stage.network.closeLedger();
    payAll(spine.stage, spine.payer, [recent]);
    await spine.settledAll(2);
    await untilAllIsRead();
    await preparePartitions(spine.database.dataSource);
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 2, differences: 0 });
    await detachPartitions(spine.database.dataSource, { ledger: next });
    // Everything that is left, and what it refers to; and what an audit goes on from.
    await query("DELETE FROM audits");
    const report = await audit();
    expect(report.differences).to.deep.equal([]);
    expect(report.credits).to.equal(1);
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 0, differences: 0 });
  });
});
