import { expect } from "chai";
import { auditNew } from "../../src/audit/audit-each.js";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { closeFinding, readFindings } from "../../src/findings/findings-log.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { UNSAID_LAG_MS } from "../../src/horizon/reach.js";
import { idMemo, muxedId } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { aSession, findContradictions, openSessions, readBooks } from "../support/books.js";
import { payAll, paymentOf } from "../support/ingest.js";
import { recoverOn, told } from "../support/recovery.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";

/** Past the time by which a server may lag that does not say where it is: what it does not know then was never there. */
const ledgersAhead = () => Date.now() + UNSAID_LAG_MS + 60_000;

const NEXT_YEAR = new Date(Date.now() + 3e10);

describe("recovery of sessions and payments that contradict each other", () => {
  let spine: Spine;

  beforeEach(async () => {
    spine = await Spine.open("optional", { clock: ledgersAhead });
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const query = (sql: string, values: unknown[] = []) => spine.database.dataSource.query(sql, values);
  const open = async (...changes: Partial<CheckoutSession>[]): Promise<CheckoutSession[]> =>
    openSessions(
      spine.database.dataSource,
      ...changes.map((change) => aSession(spine.owner, { expiresAt: NEXT_YEAR, ...change })),
    );
  const one = async (change: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const [session] = await open(change);
    if (session === undefined) throw new Error("no session");
    return session;
  };
  const pay = (session: CheckoutSession, amount?: bigint) => {
    const { operation, memo } = paymentOf(session, amount === undefined ? undefined : toStroops(amount));
    return spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
  };
  /** Long enough ago that a server that does not say how far it is can't lag that much. */
  const flip = ({ id }: CheckoutSession, ago = "10 minutes") =>
    query("UPDATE checkout_sessions SET status = 'paid', paid_at = now() - $2::interval WHERE id = $1", [
      id,
      ago,
    ]);
  const statusOf = async ({ id }: CheckoutSession) => {
    const [{ status }] = await query("SELECT status FROM checkout_sessions WHERE id = $1", [id]);
    return status;
  };
  /** Everything settled as usual. */
  const settleAll = async (credits: number) => {
    spine.ingest();
    spine.consume();
    await spine.settledAll(credits);
  };
  const supplied = (session: CheckoutSession) => `paid_without_payment payment_supplied ${session.id}`;
  const asked = (session: CheckoutSession) => `paid_without_payment needs_person ${session.id}`;

  describe("paid, and no payment", () => {
    const LOST: readonly (readonly [what: string, sql: string])[] = [
      ["the payment's row", "DELETE FROM payments"],
      ["the payment and the event", "DELETE FROM payments; DELETE FROM outbox_events"],
      [
        "the payment, the credit and the event",
        "DELETE FROM payments; DELETE FROM credits; DELETE FROM outbox_events",
      ],
    ];
    for (const [what, sql] of LOST) {
      it(`${what} was lost: found on Horizon and put back, once`, async () => {
        const session = await one();
        pay(session);
        await settleAll(1);
        const before = await readBooks(spine.database.dataSource);
        await query(sql);
        const reports = await Promise.all([recoverOn(spine), recoverOn(spine)]);
        expect(reports.flatMap(told)).to.deep.equal([supplied(session)]);
        expect(await readBooks(spine.database.dataSource)).to.deep.equal(before);
        await spine.expectBooksToBalance(1);
        expect(told(await recoverOn(spine))).to.deep.equal([]);
      });
    }

    it("its credit had come as a duplicate, since somebody had set it to paid: it becomes the payment", async () => {
      const session = await one();
      await flip(session);
      pay(session);
      await settleAll(1);
      expect((await readBooks(spine.database.dataSource)).exceptions[0]?.reason).to.equal("duplicate");
      expect(told(await recoverOn(spine))).to.deep.equal([supplied(session)]);
      await spine.expectBooksToBalance(1);
    });

    it("is found by its muxed id too, and on the last of many pages", async () => {
      const [byMemo, byMuxed] = await open({}, { memoKey: muxedId("9000000077") });
      if (!byMemo || !byMuxed) throw new Error("no sessions");
      payAll(spine.stage, spine.payer, await spine.sessions(220));
      pay(byMuxed);
      pay(byMemo);
      await flip(byMemo);
      await flip(byMuxed);
      expect(told(await recoverOn(spine))).to.have.members([supplied(byMemo), supplied(byMuxed)]);
      expect(findContradictions(await readBooks(spine.database.dataSource))).to.deep.equal([]);
    });

    it("a run reads only so many pages, and the next one goes on from there", async () => {
      const session = await one();
      payAll(spine.stage, spine.payer, await spine.sessions(220));
      pay(session);
      await flip(session);
      const { findings, waiting } = await recoverOn(spine, { pages: 1 });
      expect([findings, waiting]).to.deep.equal([[], 1]);
      expect(told(await recoverOn(spine, { pages: 1 }))).to.deep.equal([supplied(session)]);
      await recoverOn(spine);
      expect(await query("SELECT FROM recovery_searches"), "nothing is left of the search").to.have.length(0);
    });

    it("takes the first credit that `decide` calls a payment: not what was short, not what paid another", async () => {
      const [session, other] = await open({}, { memoKey: idMemo("1234567") });
      if (!session || !other) throw new Error("no sessions");
      pay(session, 1n);
      pay(other);
      const good = pay(session);
      pay(session);
      await flip(session);
      expect(told(await recoverOn(spine))).to.deep.equal([supplied(session)]);
      await settleAll(4);
      await spine.expectBooksToBalance(2);
      const [{ hash }] = await query(
        "SELECT transaction_hash AS hash FROM credits JOIN payments USING (operation_id, move_index) WHERE session_id = $1",
        [session.id],
      );
      expect(hash).to.equal(good.hash);
    });

    it("what a person has refunded can't be it; what a person has accepted is", async () => {
      const [refunded, accepted] = await open({}, {});
      if (!refunded || !accepted) throw new Error("no sessions");
      await flip(refunded);
      pay(refunded);
      pay(accepted, 1n);
      await settleAll(2);
      await query(
        `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
         SELECT operation_id, move_index, CASE reason WHEN 'underpaid' THEN 'accept' ELSE 'refund' END, reason, session_id, detail, raised_at, 'n', 'p'
         FROM payment_exceptions`,
      );
      await flip(accepted);
      expect(told(await recoverOn(spine))).to.have.members([asked(refunded), supplied(accepted)]);
    });

    it("nothing on the network has paid it: a person is asked, once, and the session is not touched", async () => {
      const session = await one();
      pay(session, 5n);
      await flip(session);
      for (let run = 0; run < 3; run++) {
        expect(told(await recoverOn(spine)), `run ${run}`).to.deep.equal([asked(session)]);
      }
      expect(await statusOf(session)).to.equal("paid");
      const rows = await query("SELECT evidence, closed_at FROM recovery_findings");
      expect(rows).to.have.length(1);
      expect(rows[0].closed_at).to.equal(null);
      pay(session);
      expect(told(await recoverOn(spine)), "it comes after all").to.deep.equal([supplied(session)]);
      const open = await query("SELECT FROM recovery_findings WHERE closed_at IS NULL");
      expect(open, "the question is answered").to.have.length(0);
    });

    it("a person closes the question: it is not asked again while nothing changes", async () => {
      const session = await one();
      pay(session, 5n);
      await flip(session);
      await recoverOn(spine);
      await recoverOn(spine);
      const { manager } = spine.database.dataSource;
      const [finding] = await readFindings(manager, { open: true, limit: 2 });
      expect(finding?.evidence.unfit, "also after a second look").to.be.an("array").with.length(1);
      expect(await closeFinding(manager, finding?.id ?? "", "paid in cash")).to.equal(true);
      expect(told(await recoverOn(spine))).to.deep.equal([]);
      await query("UPDATE checkout_sessions SET paid_at = paid_at - interval '1 day'");
      expect(told(await recoverOn(spine)), "somebody changed it").to.deep.equal([asked(session)]);
    });

    it("what names another session by its muxed id is that one's, whatever memo it carries", async () => {
      const [byMemo, byMuxed] = await open({}, { memoKey: muxedId("99") });
      if (!byMemo || !byMuxed) throw new Error("no sessions");
      const { operation } = paymentOf(byMuxed);
      const { memo } = paymentOf(byMemo);
      spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
      await flip(byMemo);
      expect(told(await recoverOn(spine))).to.deep.equal([asked(byMemo)]);
      await settleAll(1);
      expect(await statusOf(byMuxed)).to.equal("paid");
    });

    it("where Horizon has forgotten a part, a person is told so, and nothing past it counts as searched", async () => {
      await spine[Symbol.asyncDispose]();
      spine = await Spine.open("optional", { retention: 5 });
      const session = await one();
      await flip(session);
      for (let i = 0; i < 20; i++) spine.stage.network.closeLedger();
      for (let run = 0; run < 2; run++) {
        const { findings } = await recoverOn(spine);
        expect(findings[0]?.detail, `run ${run}`).to.include("no longer has ledgers");
      }
      expect(await query("SELECT FROM recovery_searches")).to.have.length(0);
    });

    it("hidden by triggers that were off, and seen by an audit: found all the same", async () => {
      const session = await one();
      pay(session);
      await settleAll(1);
      await query("DELETE FROM payments; UPDATE checkout_sessions SET has_payment = true");
      expect(told(await recoverOn(spine))).to.deep.equal([]);
      const horizon = new HorizonClient({ url: spine.stage.sandbox.url });
      const parts = { dataSource: spine.database.dataSource, horizon, signal: new AbortController().signal };
      await auditNew(parts, silent);
      expect(told(await recoverOn(spine))).to.deep.equal([supplied(session)]);
    });

    it("somebody sets it back: the question is closed", async () => {
      const session = await one();
      await flip(session);
      await recoverOn(spine);
      await query("UPDATE checkout_sessions SET status = 'pending', paid_at = NULL");
      await recoverOn(spine);
      expect(await query("SELECT FROM recovery_findings WHERE closed_at IS NULL")).to.have.length(0);
    });

    it("Horizon is away: nobody is asked anything yet", async () => {
      const session = await one();
      await flip(session);
      spine.stage.sandbox.faults.add({ kind: "status", status: 503 });
      const { findings, failures } = await recoverOn(spine);
      expect(findings).to.deep.equal([]);
      expect(failures).to.have.property("payments");
    });

    it("Horizon lags: what it does not have yet is not missing", async () => {
      await spine[Symbol.asyncDispose]();
      spine = await Spine.open("optional");
      const session = await one();
      await flip(session, "0");
      pay(session);
      spine.stage.sandbox.faults.add({ kind: "behind", ledgers: 1, path: "/accounts" });
      const { findings, waiting } = await recoverOn(spine);
      expect([findings, waiting]).to.deep.equal([[], 1]);
    });

    it("with triggers switched off the note about the payment was wrong: it is put right, and nobody is asked", async () => {
      const session = await one();
      pay(session);
      await settleAll(1);
      await query("UPDATE checkout_sessions SET has_payment = false");
      await recoverOn(spine);
      expect(told(await recoverOn(spine))).to.deep.equal([]);
      expect(await query("SELECT FROM checkout_sessions WHERE has_payment")).to.have.length(1);
      await spine.expectBooksToBalance(1);
    });
  });

  describe("a payment, and not paid", () => {
    for (const status of ["pending", "processing", "expired", "cancelled"] as const) {
      it(`${status}: marked paid, and told once`, async () => {
        const session = await one();
        pay(session);
        await settleAll(1);
        const since = status === "processing" ? "now()" : "NULL";
        await query(
          `UPDATE checkout_sessions SET status = '${status}', paid_at = NULL, processing_since = ${since}`,
        );
        await query("DELETE FROM outbox_events");
        const reports = await Promise.all([recoverOn(spine), recoverOn(spine)]);
        expect(reports.flatMap(told)).to.deep.equal([`payment_without_paid marked_paid ${session.id}`]);
        await spine.expectBooksToBalance(1);
      });
    }

    it("paid, with its payment, and not told: told with the id and the body that the event had", async () => {
      const session = await one();
      pay(session);
      await settleAll(1);
      const before = await query("SELECT id, body FROM outbox_events");
      await query("DELETE FROM outbox_events");
      expect(told(await recoverOn(spine)), "before an audit has looked").to.deep.equal([]);
      await eventually(async () => (await spine.watermark()).watermark > 0n);
      const horizon = new HorizonClient({ url: spine.stage.sandbox.url });
      const parts = { dataSource: spine.database.dataSource, horizon, signal: new AbortController().signal };
      await eventually(async () => (await auditNew(parts, silent)).differences === 1);
      const reports = await Promise.all([recoverOn(spine), recoverOn(spine)]);
      expect(reports.flatMap(told)).to.deep.equal([`paid_not_announced announced ${session.id}`]);
      expect(await query("SELECT id, body FROM outbox_events")).to.deep.equal(before);
      expect((await auditNew(parts, silent)).differences).to.equal(0);
    });

    it("an event that is there is not told again, and keeps its body", async () => {
      const session = await one();
      pay(session);
      await settleAll(1);
      const before = await query("SELECT id, body FROM outbox_events");
      await query("UPDATE checkout_sessions SET status = 'pending', paid_at = NULL");
      expect(told(await recoverOn(spine))).to.deep.equal([`payment_without_paid marked_paid ${session.id}`]);
      expect(await query("SELECT id, body FROM outbox_events")).to.deep.equal(before);
    });

    it("a payment that was put there by hand, of a credit that names another session, is for a person", async () => {
      const [named, other] = await open({}, {});
      if (!named || !other) throw new Error("no sessions");
      pay(named, 1n);
      await settleAll(1);
      await query("DELETE FROM payment_exceptions; UPDATE credits SET outcome = 'payment'");
      await query(
        "INSERT INTO payments (operation_id, move_index, session_id, surplus) SELECT operation_id, 0, $1, 0 FROM credits",
        [other.id],
      );
      expect(told(await recoverOn(spine))).to.deep.equal([`payment_without_paid needs_person ${other.id}`]);
      expect(await statusOf(other)).to.equal("pending");
    });
  });

  it("a dry run says what would be done, and nothing of it holds", async () => {
    const [lost, unmarked] = await open({}, {});
    if (!lost || !unmarked) throw new Error("no sessions");
    pay(lost);
    pay(unmarked);
    await settleAll(2);
    await query("DELETE FROM payments WHERE session_id = $1", [lost.id]);
    await query("UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = $1", [
      unmarked.id,
    ]);
    const before = await readBooks(spine.database.dataSource);
    const dry = told(await recoverOn(spine, { dryRun: true }));
    expect(dry).to.deep.equal([`payment_without_paid marked_paid ${unmarked.id}`, supplied(lost)]);
    expect(await readBooks(spine.database.dataSource)).to.deep.equal(before);
    expect(await query("SELECT FROM recovery_findings UNION ALL SELECT FROM recovery_runs")).to.have.length(
      0,
    );
    expect(told(await recoverOn(spine))).to.deep.equal(dry);
  });
});
