import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { cancelSession, expireSessionNow, expireSessions } from "../../src/settlement/end-session.js";
import { giveVerdict } from "../../src/settlement/give-verdict.js";
import { announcePaid } from "../../src/settlement/mark-paid.js";
import { settle } from "../../src/settlement/settle.js";
import { idMemo } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import type { Json } from "../support/api.js";
import { aSession, creditFor, EXPIRES_AT, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { acceptCharge, aHandedIn, creditOfCharge } from "../support/handed-in-charges.js";
import type { Owner } from "../support/webhooks.js";

const METADATA = { order: "1001", "line 2": 'ünï " \\ }}' };
const ASKED = { amount_asked: "922337203685.4775807", asset_asked: "native", metadata: METADATA };
const NOTHING_ASKED = { amount_asked: null, asset_asked: null, metadata: null };
const LATE = new Date(EXPIRES_AT.getTime() + 60_000);

describe("the body of an event", () => {
  let database: TestDatabase;
  let owner: Owner;

  beforeEach(async () => {
    database = await createTestDatabase();
    owner = await watchAccount(database.dataSource);
  });
  afterEach(() => database.close());

  const open = async (changes: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const [session] = await openSessions(
      database.dataSource,
      aSession(owner, { amount: toStroops(9_223_372_036_854_775_807n), metadata: METADATA, ...changes }),
    );
    if (session === undefined) throw new Error("no session");
    return session;
  };
  /** In the order in which merchants are told. */
  const events = async (): Promise<{ type: string; body: string; data: Json }[]> => {
    const rows: { type: string; body: string }[] = await database.dataSource.query(
      "SELECT type, body FROM outbox_events ORDER BY written",
    );
    return rows.map(({ type, body }) => ({ type, body, data: JSON.parse(body).data }));
  };
  const types = async () => (await events()).map(({ type }) => type);

  it("carries what was asked for and the metadata, whatever happened to the session and whoever wrote it", async () => {
    const { dataSource } = database;
    const [paid, short, cancelled, ended, overdue] = [
      await open(),
      await open(),
      await open(),
      await open(),
      await open(),
    ];
    const underpaid = creditFor(short, { amount: toStroops(1n) });
    await settle(dataSource, [creditFor(paid), underpaid]);
    await inSerializableTransaction(dataSource, async (runner) => {
      await cancelSession(runner, owner.merchantId, cancelled.id);
      await expireSessionNow(runner, owner.merchantId, ended.id);
      await giveVerdict(runner, {
        key: underpaid,
        verdict: "accept",
        note: "the clerk's private note",
        decidedBy: "operator:anna",
        merchantId: null,
      });
    });
    await dataSource.query("UPDATE stream_cursors SET settled_through = $1", [LATE]);
    expect(await expireSessions(dataSource)).to.equal(1);
    const all = await events();
    expect(all.map(({ type }) => type)).to.have.members([
      "payment.confirmed",
      "exception.raised",
      "session.cancelled",
      "session.expired",
      "exception.accepted",
      "payment.confirmed",
      "session.expired",
    ]);
    for (const { type, data } of all) expect(data, type).to.deep.include(ASKED);
    expect(all.map(({ data }) => data.session_id)).to.include(overdue.id);
    const accepted = all.find(({ type }) => type === "exception.accepted");
    expect(accepted?.data).to.deep.include({ decided_by: "operator:anna", reason: "underpaid" });
    for (const { body } of all) expect(body).not.to.contain("private note");
  });

  it("says that nothing was asked for where money names no session", async () => {
    await settle(database.dataSource, [
      creditFor(aSession(owner)),
      creditFor(aSession(owner), { memo: null }),
    ]);
    const all = await events();
    expect(all.map(({ data }) => data.reason)).to.deep.equal(["unmatched", "no_memo"]);
    for (const { data } of all) expect(data).to.deep.include(NOTHING_ASKED);
  });

  it("is the same byte for byte where recovery writes it once more", async () => {
    const { dataSource } = database;
    const session = await open();
    await settle(dataSource, [creditFor(session)]);
    const before = await events();
    await dataSource.query("DELETE FROM outbox_events");
    await inSerializableTransaction(dataSource, (runner) => announcePaid(runner, session.id));
    expect(await events()).to.deep.equal(before);
  });

  it("of a charge carries its metadata", async () => {
    const { dataSource } = database;
    const handedIn = aHandedIn(owner);
    await acceptCharge(dataSource, handedIn);
    await dataSource.query("UPDATE charges SET metadata = $1", [METADATA]);
    await settle(dataSource, [creditOfCharge(handedIn)]);
    const [created, succeeded] = await events();
    expect([created?.type, succeeded?.type]).to.deep.equal(["charge.created", "charge.succeeded"]);
    expect([created?.data.metadata, succeeded?.data.metadata]).to.deep.equal([{}, METADATA]);
  });

  it("a late payment is told after the end of its session, never before", async () => {
    const { dataSource } = database;
    const session = await open();
    await settle(dataSource, [creditFor(session, { closedAt: LATE })]);
    expect(await types()).to.deep.equal(["session.expired", "exception.raised"]);
    expect((await events())[0]?.data.expired_at).to.equal(EXPIRES_AT.toISOString());
    await dataSource.query("UPDATE stream_cursors SET settled_through = $1", [LATE]);
    expect(await expireSessions(dataSource)).to.equal(0);
    // One that was made in time, and arrives after it, pays all the same.
    await settle(dataSource, [creditFor(session)]);
    expect((await types()).slice(2)).to.deep.equal(["payment.confirmed"]);
  });

  it("a late payment ends no session that is paid, or whose own transaction is under way", async () => {
    const { dataSource } = database;
    const [paid, processing] = [await open(), await open({ status: "processing" })];
    await settle(dataSource, [
      creditFor(processing, { closedAt: LATE }),
      creditFor(paid, { closedAt: LATE }),
      creditFor(paid),
    ]);
    expect(await types()).to.deep.equal(["exception.raised", "exception.raised", "payment.confirmed"]);
    const statuses: { status: string }[] = await dataSource.query(
      "SELECT status FROM checkout_sessions ORDER BY id",
    );
    expect(statuses.map(({ status }) => status)).to.deep.equal(["paid", "processing"]);
  });

  it("an underpayment is told before the end of its session", async () => {
    const { dataSource } = database;
    const session = await open({ memoKey: idMemo("77") });
    await settle(dataSource, [creditFor(session, { amount: toStroops(5n) })]);
    await dataSource.query("UPDATE stream_cursors SET settled_through = $1", [LATE]);
    await expireSessions(dataSource);
    expect(await types()).to.deep.equal(["exception.raised", "session.expired"]);
  });
});
