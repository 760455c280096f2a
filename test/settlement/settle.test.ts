import { expect } from "chai";
import { atCheckpoints } from "../../src/checkpoints.js";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { idMemo, muxedId, textMemo } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import {
  anUnreadable,
  aSession,
  creditFor,
  findContradictions,
  nextOperationId,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("settle: one serializable transaction", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    atCheckpoints(null);
    await database.close();
  });

  it("G2: a credit settles its session, with one payment and one event", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const credit = creditFor(session, { amount: toStroops(session.amount + 5n) });

    const [settlement] = await settle(database.dataSource, [credit]);

    expect(settlement).to.deep.include({
      kind: "recorded",
      outcome: { kind: "payment", sessionId: session.id, surplus: 5n },
    });
    const books = await readBooks(database.dataSource);
    expect(books.payments).to.deep.equal([
      { key: `${credit.operationId}-0`, session_id: session.id, surplus: "5" },
    ]);
    expect(findContradictions(books)).to.deep.equal([]);
    const [event] = await database.dataSource.query("SELECT id, body FROM outbox_events");
    expect(JSON.parse(event.body)).to.deep.include({ id: event.id, type: "payment.confirmed" });
    const [row] = await database.dataSource.query("SELECT paid_at FROM checkout_sessions");
    expect(row.paid_at.toISOString(), "paid_at is the ledger's time").to.equal(credit.closedAt.toISOString());
  });

  it("G1: the same credits again, whole or in part, change nothing", async () => {
    const owner = await watchAccount(database.dataSource);
    const sessions = await openSessions(
      database.dataSource,
      aSession(owner),
      aSession(owner),
      aSession(owner),
    );
    const credits = sessions.map((session) => creditFor(session));
    await settle(database.dataSource, credits.slice(0, 2));
    const before = await readBooks(database.dataSource);

    const again = await settle(database.dataSource, [...credits.slice(0, 2), ...credits.slice(0, 2)]);
    expect(again.map((settlement) => settlement.kind)).to.deep.equal(["redelivered", "redelivered"]);
    expect(await readBooks(database.dataSource)).to.deep.equal(before);

    const mixed = await settle(database.dataSource, credits);
    expect(mixed.map((settlement) => settlement.kind).sort()).to.deep.equal([
      "recorded",
      "redelivered",
      "redelivered",
    ]);
    expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
  });

  it("G1: every kind of credit ends in exactly one place, with its reason", async () => {
    const owner = await watchAccount(database.dataSource);
    const usd = parseAsset(`USD:${owner.account}`);
    const [short, wrong, late, twice, cancelled] = await openSessions(
      database.dataSource,
      ...["pending", "pending", "pending", "pending", "cancelled"].map((status) =>
        aSession(owner, { status: status as "pending" }),
      ),
    );
    if (!short || !wrong || !late || !twice || !cancelled) throw new Error("no sessions");
    const first = creditFor(twice);
    const batch = [
      creditFor(short, { amount: toStroops(short.amount - 1n) }),
      creditFor(wrong, { asset: usd }),
      creditFor(late, { closedAt: new Date(late.expiresAt.getTime() + 1000) }),
      first,
      creditFor(twice),
      creditFor(cancelled),
      creditFor(twice, { memo: idMemo("999999") }),
      creditFor(twice, { memo: null }),
      anUnreadable(owner.account),
    ];

    await settle(database.dataSource, batch);

    const books = await readBooks(database.dataSource);
    expect(books.payments.map((row) => row.key)).to.deep.equal([`${first.operationId}-0`]);
    expect(books.exceptions.map((row) => [row.reason, row.session_id])).to.deep.equal([
      ["underpaid", short.id],
      ["wrong_asset", wrong.id],
      ["late", late.id],
      ["duplicate", twice.id],
      ["late", cancelled.id],
      ["unmatched", null],
      ["no_memo", null],
      ["unreadable", null],
    ]);
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("G1: one transaction pays two sessions by muxed ids, and another pays one session twice", async () => {
    const owner = await watchAccount(database.dataSource);
    const [a, b, c] = await openSessions(
      database.dataSource,
      aSession(owner, { memoKey: muxedId("1") }),
      aSession(owner, { memoKey: muxedId("2") }),
      aSession(owner, { memoKey: textMemo(Buffer.from("order-3")) }),
    );
    if (!a || !b || !c) throw new Error("no sessions");
    const one = creditFor(a);
    const two = creditFor(b, { transactionHash: one.transactionHash, operationId: nextOperationId() });
    const three = creditFor(c);
    const four = creditFor(c, { transactionHash: three.transactionHash });
    // One host function that moves value twice: same operation, another index.
    const five = { ...creditFor(c), operationId: four.operationId, moveIndex: 1 };

    await settle(database.dataSource, [one, two, three, four, five]);

    const books = await readBooks(database.dataSource);
    expect(books.paidSessions).to.have.length(3);
    expect(books.exceptions.map((row) => row.reason)).to.deep.equal(["duplicate", "duplicate"]);
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("G1: a redelivered credit that would now pay another way does not make its neighbour a duplicate", async () => {
    const owner = await watchAccount(database.dataSource);
    const session = aSession(owner);
    const early = creditFor(session);
    // Recorded as unmatched before the session exists; the session comes later.
    await settle(database.dataSource, [early]);
    await openSessions(database.dataSource, session);
    const real = creditFor(session);

    await settle(database.dataSource, [early, real]);

    const books = await readBooks(database.dataSource);
    expect(books.payments.map((row) => row.key)).to.deep.equal([`${real.operationId}-0`]);
    expect(books.exceptions.map((row) => row.reason)).to.deep.equal(["unmatched"]);
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("G2: two credits for one session in two transactions at the same instant: one pays, one is a duplicate", async () => {
    for (let round = 0; round < 20; round++) {
      const owner = await watchAccount(database.dataSource);
      const [session] = await openSessions(database.dataSource, aSession(owner));
      if (session === undefined) throw new Error("no session");
      await Promise.all([1, 2, 3, 4].map(() => settle(database.dataSource, [creditFor(session)])));
    }
    const books = await readBooks(database.dataSource);
    expect(books.payments).to.have.length(20);
    expect(books.exceptions.map((row) => row.reason)).to.deep.equal(Array(60).fill("duplicate"));
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("G1: a credit that Postgres refuses becomes unreadable, alone; its neighbours settle", async () => {
    const owner = await watchAccount(database.dataSource);
    const sessions = await openSessions(
      database.dataSource,
      ...Array.from({ length: 9 }, () => aSession(owner)),
    );
    const credits = sessions.map((session, index) =>
      creditFor(session, index === 4 ? { from: "bad\u0000sender" } : {}),
    );

    await settle(database.dataSource, credits);

    const books = await readBooks(database.dataSource);
    expect(books.payments).to.have.length(8);
    expect(books.exceptions).to.have.length(1);
    expect(books.exceptions[0]?.reason).to.equal("unreadable");
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("G2: a payment row whose session does not say paid still makes the next credit a duplicate", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    await settle(database.dataSource, [creditFor(session)]);
    await database.dataSource.query("UPDATE checkout_sessions SET status = 'pending', paid_at = NULL");

    const [second] = await settle(database.dataSource, [creditFor(session)]);

    expect(second).to.deep.include({ kind: "recorded" });
    const books = await readBooks(database.dataSource);
    expect(books.payments).to.have.length(1);
    expect(books.exceptions.map((row) => row.reason)).to.deep.equal(["duplicate"]);
  });

  it("G4: an abort before COMMIT leaves nothing, and the next try settles", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const credit = creditFor(session);
    const controller = new AbortController();
    atCheckpoints((point) => {
      if (point === "transaction.before-commit") controller.abort(new Error("lock lost"));
    });

    const failure = await settle(database.dataSource, [credit], { signal: controller.signal }).catch(
      (error) => error,
    );

    expect(failure).to.be.instanceOf(Error).with.property("message", "lock lost");
    expect((await readBooks(database.dataSource)).credits).to.deep.equal([]);
    atCheckpoints(null);
    await settle(database.dataSource, [credit]);
    expect((await readBooks(database.dataSource)).payments).to.have.length(1);
  });

  it("G1: a replay takes back what was unreadable and decides it; nothing else is ever taken back", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const credit = creditFor(session);
    await settle(database.dataSource, [anUnreadable(owner.account, { operationId: credit.operationId })]);
    expect((await readBooks(database.dataSource)).exceptions.map((row) => row.reason)).to.deep.equal([
      "unreadable",
    ]);

    await settle(database.dataSource, [credit], { replay: true });

    const books = await readBooks(database.dataSource);
    expect(books.exceptions).to.deep.equal([]);
    expect(books.payments).to.have.length(1);
    await settle(database.dataSource, [anUnreadable(owner.account, { operationId: credit.operationId })], {
      replay: true,
    });
    expect(await readBooks(database.dataSource), "a payment is never taken back").to.deep.equal(books);
  });
});
