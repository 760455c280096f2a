import { expect } from "chai";
import type { DataSource } from "typeorm";
import type { Charge, ChargeStatus } from "../../src/entities/charge.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { endCharge } from "../../src/settlement/end-charge.js";
import { supplyPayment } from "../../src/settlement/mark-paid.js";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { storeSubmission } from "../../src/submission/submissions.js";
import {
  anUnreadable,
  aSession,
  CLOSED_AT,
  creditFor,
  findContradictions,
  newAccount,
  nextOperationId,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { connect, createTestDatabase, type TestDatabase } from "../support/database.js";
import {
  acceptCharge,
  aHandedIn,
  cancelCharge,
  creditOfCharge,
  type HandedIn,
  newHash,
} from "../support/handed-in-charges.js";

type Owner = Awaited<ReturnType<typeof watchAccount>>;

describe("settle: what was handed in for a charge pays that charge", () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let owner: Owner;

  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = database.dataSource;
    owner = await watchAccount(dataSource);
  });
  afterEach(() => database.close());

  const accepted = async (overrides: Partial<HandedIn["charge"]> = {}): Promise<HandedIn> => {
    const handedIn = aHandedIn(owner, overrides);
    expect(await acceptCharge(dataSource, handedIn)).to.deep.equal({ kind: "stored" });
    return handedIn;
  };
  const read = async ({ charge }: HandedIn): Promise<Charge> =>
    dataSource.getRepository("charges").findOneByOrFail({ id: charge.id }) as Promise<Charge>;
  const aStoredSession = async () => {
    const session = aSession(owner);
    await openSessions(dataSource, session);
    return session;
  };
  const events = async (): Promise<string[]> =>
    (await dataSource.query("SELECT type FROM outbox_events ORDER BY written")).map(
      ({ type }: { type: string }) => type,
    );
  const expectSound = async () => {
    const books = await readBooks(dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    return books;
  };

  const OPEN: readonly (readonly [ChargeStatus, string])[] = [
    ["pending", ""],
    ["processing", "UPDATE charges SET status = 'processing', attempts = 1, leased_since = now()"],
    [
      "unknown",
      "UPDATE charges SET status = 'processing'; UPDATE charges SET status = 'unknown', unknown_since = now()",
    ],
  ];
  for (const [status, sql] of OPEN) {
    it(`G6: a credit ends a ${status} charge, with one payment and one event, and no other`, async () => {
      const handedIn = await accepted();
      if (sql !== "") await dataSource.query(sql);
      const credit = creditOfCharge(handedIn);
      const [settlement] = await settle(dataSource, [credit]);
      expect(settlement).to.deep.include({
        kind: "recorded",
        outcome: { kind: "charge_payment", chargeId: handedIn.charge.id },
      });
      const books = await expectSound();
      expect(books.chargePayments.map(({ key, charge_id }) => [key, charge_id])).to.deep.equal([
        [`${credit.operationId}-0`, handedIn.charge.id],
      ]);
      expect(await events()).to.deep.equal(["charge.created", "charge.succeeded"]);
      expect(await read(handedIn)).to.include({
        status: "succeeded",
        providerId: handedIn.hash,
        leasedSince: null,
      });
    });
  }

  it("G6: of an older version, without a memo of its own, whatever the credit says: the session that it names waits on", async () => {
    const session = await aStoredSession();
    const handedIn = await accepted({ memoKey: null });
    const own = creditFor(session);
    await settle(dataSource, [creditOfCharge(handedIn, { memo: session.memoKey }), own]);
    const books = await expectSound();
    expect(books.payments.map(({ key }) => key)).to.deep.equal([`${own.operationId}-0`]);
    expect(books.chargePayments).to.have.length(1);
  });

  it("G6: bumped anew by anybody it pays all the same, by its inner hash", async () => {
    const handedIn = await accepted();
    await settle(dataSource, [
      creditOfCharge(handedIn, { transactionHash: newHash(), innerHash: handedIn.hash }),
    ]);
    expect((await expectSound()).chargePayments).to.have.length(1);
    expect(await read(handedIn)).to.include({ status: "succeeded", providerId: handedIn.hash });
  });

  it("G6: several operations pay it, in one batch or in two, under one event", async () => {
    const [whole, parts] = [await accepted(), await accepted()];
    const third = (handedIn: HandedIn, amount: bigint) =>
      creditOfCharge(handedIn, { amount: toStroops(amount) });
    await settle(dataSource, [third(whole, 60_000_000n), third(whole, 40_000_000n), third(parts, 1n)]);
    const meanwhile = findContradictions(await readBooks(dataSource));
    expect(meanwhile, "the rest is on its way").to.deep.equal([
      `G6: charge ${parts.charge.id} of 100000000 is paid by 1`,
    ]);
    await settle(dataSource, [third(parts, 99_999_999n)]);
    expect((await expectSound()).chargePayments).to.have.length(4);
    expect((await events()).filter((type) => type === "charge.succeeded")).to.have.length(2);
  });

  it("G1: redelivered, whole or with others, it changes nothing, and says what it paid", async () => {
    const [one, two] = [await accepted(), await accepted()];
    const credits = [creditOfCharge(one), creditOfCharge(two)];
    await settle(dataSource, credits.slice(0, 1));
    const first = await readBooks(dataSource);
    const again = await settle(dataSource, credits.slice(0, 1));
    expect(again).to.deep.equal([
      {
        kind: "redelivered",
        movement: credits[0],
        recorded: { kind: "charge_payment", chargeId: one.charge.id },
      },
    ]);
    expect(await readBooks(dataSource)).to.deep.equal(first);
    const mixed = await settle(dataSource, credits);
    expect(mixed.map(({ kind }) => kind).sort()).to.deep.equal(["recorded", "redelivered"]);
    expect((await expectSound()).chargePayments).to.have.length(2);
  });

  it("G1: the money of a charge that had ended otherwise is an exception that tells of it", async () => {
    const [cancelled, failed] = [await accepted(), await accepted()];
    const session = await aStoredSession();
    await inSerializableTransaction(dataSource, async (runner) => {
      await cancelCharge(runner, cancelled.charge.id);
      await endCharge(
        runner,
        failed.charge.id,
        { kind: "failed", code: "declined", detail: "" },
        { from: "test" },
      );
    });
    await settle(dataSource, [
      creditOfCharge(cancelled, { memo: null }),
      creditOfCharge(failed, { memo: aSession(owner).memoKey }),
      // By the usual rules: it names a session, and is worth it.
      creditOfCharge(cancelled, { memo: session.memoKey }),
    ]);
    const books = await expectSound();
    expect(books.exceptions.map(({ reason }) => reason)).to.deep.equal(["no_memo", "unmatched"]);
    expect(books.payments.map(({ session_id }) => session_id)).to.deep.equal([session.id]);
    const details = await dataSource.query("SELECT detail FROM payment_exceptions ORDER BY operation_id");
    expect(details[0].detail).to.include(cancelled.charge.id);
    expect(details[1].detail).to.include(failed.charge.id);
    expect((await read(cancelled)).status).to.equal("cancelled");
  });

  it("G6: another account's credit of the transaction, or one in another asset, pays no part of it", async () => {
    const handedIn = await accepted({ memoKey: null });
    const other = await watchAccount(dataSource);
    const usd = parseAsset(`USD:${newAccount()}`);
    await settle(dataSource, [
      creditOfCharge(handedIn, { account: other.account }),
      creditOfCharge(handedIn, { asset: usd }),
    ]);
    const books = await expectSound();
    expect(books.exceptions.map(({ reason }) => reason)).to.deep.equal(["no_memo", "no_memo"]);
    expect((await read(handedIn)).status).to.equal("pending");
  });

  it("G1: recorded as unreadable first, it pays when it is replayed", async () => {
    const handedIn = await accepted();
    const operationId = nextOperationId();
    await settle(dataSource, [anUnreadable(owner.account, { operationId, transactionHash: handedIn.hash })]);
    expect((await read(handedIn)).status).to.equal("pending");
    const credit = creditOfCharge(handedIn, { operationId });
    expect((await settle(dataSource, [credit])).map(({ kind }) => kind)).to.deep.equal(["redelivered"]);
    await settle(dataSource, [credit], { replay: true });
    const books = await expectSound();
    expect(books.chargePayments).to.have.length(1);
    expect(books.exceptions).to.deep.equal([]);
  });

  it("G1: credits of one batch that were refused by the database leave the charges of the others paid", async () => {
    const handedIn = await accepted();
    const refused = creditOfCharge(aHandedIn(owner), { record: "nul \u0000" });
    await settle(dataSource, [refused, creditOfCharge(handedIn)]);
    const books = await expectSound();
    expect(books.exceptions.map(({ reason }) => reason)).to.deep.equal(["unreadable"]);
    expect(books.chargePayments).to.have.length(1);
  });

  it("G2: recovery does not take it for the payment that a session lacks", async () => {
    const session = await aStoredSession();
    const handedIn = await accepted({ memoKey: null });
    const credit = creditOfCharge(handedIn, { memo: session.memoKey });
    await settle(dataSource, [credit]);
    await dataSource.query("UPDATE checkout_sessions SET status = 'paid', paid_at = now()");
    const supply = () =>
      inSerializableTransaction(dataSource, (runner) => supplyPayment(runner, session.id, credit));
    expect(await supply()).to.deep.equal({
      kind: "unfit",
      why: `it is a payment of charge ${handedIn.charge.id}`,
    });
    await dataSource.query("DELETE FROM payments; DELETE FROM credits");
    expect(await supply()).to.deep.equal({ kind: "unfit", why: `it pays charge ${handedIn.charge.id}` });
  });

  it("G6: handed in while its credit is settled: either the credit pays it, or it is not accepted", async () => {
    const second = await connect(database.url);
    const ends = { paid: 0, applied: 0 };
    try {
      for (let round = 0; round < 60; round++) {
        const handedIn = aHandedIn(owner);
        // Bumped in every other round, so that either of the two columns is what the other one must be seen by.
        const bumped = { transactionHash: newHash(), innerHash: handedIn.hash };
        const credit = creditOfCharge(handedIn, round % 2 === 0 ? {} : bumped);
        const [stored, [settlement]] = await Promise.all([
          acceptCharge(second, handedIn),
          settle(dataSource, [credit, creditFor(aSession(owner))]),
        ]);
        const outcome = settlement?.kind === "recorded" ? settlement.outcome.kind : "redelivered";
        const end = `${stored.kind} ${outcome}`;
        expect(end).to.be.oneOf(["stored charge_payment", "applied exception"]);
        ends[stored.kind === "stored" ? "paid" : "applied"]++;
      }
      await expectSound();
      expect(ends.paid + ends.applied).to.equal(60);
    } finally {
      await second.destroy();
    }
  });

  it("a transaction that has applied is not kept, even where its caller commits", async () => {
    const { hash } = aHandedIn(owner);
    const session = await aStoredSession();
    await settle(dataSource, [creditFor(session, { transactionHash: newHash(), innerHash: hash })]);
    const transaction = {
      hash,
      outerHash: null,
      envelope: "AAAA",
      account: owner.account,
      maxTime: CLOSED_AT,
    };
    const stored = await inSerializableTransaction(dataSource, (runner) =>
      storeSubmission(runner, transaction, { sessionId: session.id }),
    );
    expect(stored).to.deep.equal({ kind: "applied" });
    expect(await dataSource.query("SELECT FROM submissions")).to.deep.equal([]);
  });

  it("who accepts all the time does not keep batches from being settled, nor the other way round", async () => {
    const second = await connect(database.url);
    const handedIn: HandedIn[] = [];
    const [accepts, batches] = [40, 8];
    let [accepted, settled] = [0, 0];
    const isOver = () => accepted >= accepts && settled >= batches;
    const accept = async () => {
      while (!isOver()) {
        const one = aHandedIn(owner);
        expect(await acceptCharge(second, one)).to.deep.equal({ kind: "stored" });
        handedIn.push(one);
        accepted++;
      }
    };
    const consume = async () => {
      while (!isOver()) {
        const credits = Array.from({ length: 50 }, () => creditFor(aSession(owner)));
        await settle(dataSource, [...handedIn.splice(0).map((one) => creditOfCharge(one)), ...credits]);
        settled++;
      }
    };
    try {
      await Promise.all([accept(), accept(), consume()]);
      const books = await expectSound();
      const unreadable = books.exceptions.filter(({ reason }) => reason === "unreadable");
      expect(unreadable).to.deep.equal([]);
    } finally {
      await second.destroy();
    }
  });
});
