import { expect } from "chai";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { createSession } from "../../src/settlement/create-session.js";
import { type ChargeEnding, endCharge } from "../../src/settlement/end-charge.js";
import { giveVerdict, VerdictRefusedError } from "../../src/settlement/give-verdict.js";
import { supplyPayment } from "../../src/settlement/mark-paid.js";
import { recordOutcomes } from "../../src/settlement/record-outcomes.js";
import { settle } from "../../src/settlement/settle.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { Credit, TransactionHash } from "../../src/stellar/credit.js";
import { idMemo } from "../../src/stellar/memo.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { aSession, creditFor, EXPIRES_AT, openSessions, readBooks, watchAccount } from "../support/books.js";
import { readCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { acceptCharge, aHandedIn, creditOfCharge, newHash } from "../support/handed-in-charges.js";

/** Where a credit, its event and its session stand, when the usual order of things is turned round. */
describe("settlement", () => {
  let database: TestDatabase;
  let owner: Awaited<ReturnType<typeof watchAccount>>;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    owner = await watchAccount(database.dataSource);
  });

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  const open = async (changes: Parameters<typeof aSession>[1] = {}) => {
    const [session] = await openSessions(database.dataSource, aSession(owner, changes));
    if (session === undefined) throw new Error("no session");
    return session;
  };

  it("writes a batch's events in the network's order, whatever order the batch is in", async () => {
    const orders: readonly ((a: Credit, b: Credit) => number)[] = [
      (a, b) => (a.operationId < b.operationId ? -1 : 1),
      (a, b) => (a.operationId > b.operationId ? -1 : 1),
      (a, b) => Number((a.operationId * 7919n) % 101n) - Number((b.operationId * 7919n) % 101n),
    ];
    for (const order of orders) {
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 60 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      const decided = sessions.map((session, i) => ({
        movement: credits[i] as Credit,
        outcome: { kind: "payment", sessionId: session.id, surplus: toStroops(0n) } as const,
      }));
      decided.sort((a, b) => order(a.movement, b.movement));
      await inSerializableTransaction(database.dataSource, (runner) =>
        recordOutcomes(runner, decided, () => null),
      );
      const rows: { key: string }[] = await query(
        `SELECT operation_id::text AS key FROM outbox_events o JOIN payments p USING (session_id)
         WHERE o.session_id = ANY($1::uuid[]) ORDER BY o.written`,
        [sessions.map(({ id }) => id)],
      );
      expect(rows.map(({ key }) => key)).to.deep.equal(credits.map(({ operationId }) => `${operationId}`));
    }
  });

  it("a session can be paid after its account's watermark: recovery begins to look there, not at the network's first ledger", async () => {
    const watermark = endOfLedger(70_000_000 as LedgerSequence);
    await query("UPDATE stream_cursors SET watermark = $2 WHERE account = $1", [
      owner.account,
      `${watermark}`,
    ]);
    const { id } = await createSession(database.dataSource.manager, {
      ...owner,
      memoKey: idMemo("7"),
      asset: NATIVE,
      amount: toStroops(1n),
      expiresAt: EXPIRES_AT,
    });
    expect(await query("SELECT payable_after FROM checkout_sessions WHERE id = $1", [id])).to.deep.equal([
      { payable_after: `${watermark}` },
    ]);
  });

  const decide = (credit: Credit, verdict: "accept" | "refund" | "dismiss") =>
    inSerializableTransaction(database.dataSource, (runner) =>
      giveVerdict(runner, { key: credit, verdict, note: "n", decidedBy: "operator:t", merchantId: null }),
    );

  it("G2: no credit is accepted while another payment of its session is on its way", async () => {
    const session = await open();
    const short = creditFor(session, { amount: toStroops(1n) });
    await settle(database.dataSource, [short]);
    await query(
      "UPDATE checkout_sessions SET status = 'processing', processing_since = now() WHERE id = $1",
      [session.id],
    );
    const refusal: unknown = await decide(short, "accept").catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(VerdictRefusedError).with.property("kind", "refused");
    expect(await query("SELECT FROM payments WHERE session_id = $1", [session.id])).to.deep.equal([]);
    expect(await query("SELECT FROM exception_verdicts WHERE session_id = $1", [session.id])).to.deep.equal(
      [],
    );

    await query("UPDATE checkout_sessions SET status = 'pending', processing_since = NULL WHERE id = $1", [
      session.id,
    ]);
    await decide(short, "accept");
    expect(await query("SELECT FROM payments WHERE session_id = $1", [session.id])).to.have.length(1);
  });

  it("what was refunded or dismissed is supplied to no session as its payment; without a verdict it is", async () => {
    for (const verdict of ["dismiss", "refund", null] as const) {
      const session = await open({ status: "paid", paidAt: new Date("2026-11-01T11:59:00Z") });
      const credit = creditFor(session);
      await settle(database.dataSource, [credit]);
      expect(
        (await readBooks(database.dataSource)).exceptions.filter((row) => row.session_id === session.id),
      ).to.have.length(1);
      if (verdict !== null) await decide(credit, verdict);
      const supply = await inSerializableTransaction(database.dataSource, (runner) =>
        supplyPayment(runner, session.id, credit),
      );
      expect(supply, String(verdict)).to.deep.equal(
        verdict === null ? { kind: "supplied" } : { kind: "unfit", why: `its verdict is ${verdict}` },
      );
    }
  });

  const FAILED: ChargeEnding = { kind: "failed", code: "transaction_expired", detail: "in no ledger" };
  const outer = newHash();
  const BROUGHT: readonly (readonly [
    by: string,
    outerHash: TransactionHash | null,
    credit: (hash: TransactionHash) => Partial<Credit>,
  ])[] = [
    ["itself", null, (hash) => ({ transactionHash: hash, innerHash: null })],
    ["the fee bump that was handed in", outer, () => ({ transactionHash: outer, innerHash: null })],
    ["anybody's fee bump", null, (hash) => ({ transactionHash: newHash(), innerHash: hash })],
  ];
  for (const [by, outerHash, facts] of BROUGHT) {
    it(`G6: a charge has not failed while the books have its credit, brought by ${by}`, async () => {
      const handedIn = aHandedIn(owner);
      const { charge, hash } = handedIn;
      // Without the charge's memo: as a consumer records it that knows of no charge.
      await settle(database.dataSource, [creditOfCharge(handedIn, { ...facts(hash), memo: null })]);
      const other = aHandedIn(owner);
      await acceptCharge(database.dataSource, other);
      // Acceptance would refuse the hash that has applied: it is written by hand.
      await query("UPDATE submissions SET hash = $2, outer_hash = $3 WHERE charge_id = $1", [
        other.charge.id,
        hash,
        outerHash,
      ]);
      expect(charge.account).to.equal(other.charge.account);
      const ended = await inSerializableTransaction(database.dataSource, (runner) =>
        endCharge(runner, other.charge.id, FAILED, { from: "test" }),
      );
      expect(ended).to.equal("contradiction");
      expect((await readCharge(database.dataSource, other.charge.id)).status).to.equal("pending");
    });
  }
});
