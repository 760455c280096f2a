import { expect } from "chai";
import type { DataSource } from "typeorm";
import { checkCharges } from "../../src/audit/check-books.js";
import type { ChargeRecord } from "../../src/charges/read-charges.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { ChargeRefusedError } from "../../src/providers/provider.js";
import { giveVerdict, VerdictRefusedError } from "../../src/settlement/give-verdict.js";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { type Credit, creditKeyText } from "../../src/stellar/credit.js";
import { muxedId } from "../../src/stellar/memo.js";
import { BEFORE_ALL, type OperationId } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import {
  anUnreadable,
  aSession,
  CLOSED_AT,
  creditFor,
  findContradictions,
  newAccount,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { aCharge, chargeEvents } from "../support/charges.js";
import { connect, createTestDatabase, type TestDatabase } from "../support/database.js";
import { aHandedIn, creditOfCharge, type HandedIn, newHash } from "../support/handed-in-charges.js";

describe("a transaction that its payer has sent before it is handed in for a charge", () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let owner: Awaited<ReturnType<typeof watchAccount>>;

  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = database.dataSource;
    owner = await watchAccount(dataSource);
  });
  afterEach(() => database.close());

  const accept = (
    { charge, hash }: HandedIn,
    {
      at = dataSource,
      onlyIfApplied = null as ChargeRefusedError | null,
      outerHash = null as string | null,
    } = {},
  ): Promise<ChargeRecord> => {
    const { merchantId, reference, asset, account, amount } = charge;
    const transaction = { hash, outerHash: outerHash as HandedIn["hash"] | null, envelope: "AAAA", account };
    return aCharge(
      at,
      merchantId,
      { reference, provider: "stellar", currency: null, asset, account, amount },
      {
        payload: {},
        providerId: hash,
        submission: { ...transaction, maxTime: CLOSED_AT, references: [] },
        ...(charge.memoKey === null ? {} : { memoKey: charge.memoKey }),
        ...(onlyIfApplied === null ? {} : { onlyIfApplied }),
      },
    );
  };
  const refusalOf = (handedIn: HandedIn): Promise<ChargeRefusedError> =>
    accept(handedIn).then(
      ({ status }) => expect.fail(`accepted: ${status}`),
      (error) => (error instanceof ChargeRefusedError ? error : Promise.reject(error)),
    );
  const verdict = (credit: Credit, at = dataSource) =>
    inSerializableTransaction(at, (runner) =>
      giveVerdict(runner, {
        key: credit,
        verdict: "refund",
        note: "nobody knows this payer",
        decidedBy: "operator:test",
        merchantId: null,
      }),
    );
  const expectSound = async () => {
    const books = await readBooks(dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    const all = [BEFORE_ALL, (2n ** 62n) as OperationId] as const;
    expect(await checkCharges(dataSource.manager, owner.account, ...all, null)).to.deep.equal([]);
    return books;
  };
  const part = (handedIn: HandedIn, amount: bigint, more: Partial<Credit> = {}) =>
    creditOfCharge(handedIn, { amount: toStroops(amount), ...more });

  it("G1, G6: its money pays the charge at once: one success, and no exception is left", async () => {
    const handedIn = aHandedIn(owner);
    const credit = creditOfCharge(handedIn);
    await settle(dataSource, [credit]);
    const charge = await accept(handedIn);
    expect(charge).to.include({ status: "succeeded", providerId: handedIn.hash });
    expect([charge.endedAt === null, charge.transactionHash]).to.deep.equal([false, handedIn.hash]);
    const books = await expectSound();
    expect(books.exceptions).to.deep.equal([]);
    expect(books.chargePayments.map(({ key }) => key)).to.deep.equal([creditKeyText(credit)]);
    expect(await chargeEvents(dataSource, charge.id)).to.deep.equal(["charge.succeeded"]);
    const [again] = await settle(dataSource, [credit]);
    expect(again).to.deep.include({ recorded: { kind: "charge_payment", chargeId: charge.id } });
    await expectSound();
  });

  it("G6: in several operations, and bumped by somebody: all of them are its payments", async () => {
    const handedIn = aHandedIn(owner);
    const outer = newHash();
    const bumped = { transactionHash: outer, innerHash: handedIn.hash };
    await settle(dataSource, [part(handedIn, 60_000_000n, bumped), part(handedIn, 40_000_000n, bumped)]);
    expect((await accept(handedIn, { outerHash: outer })).status).to.equal("succeeded");
    expect((await expectSound()).chargePayments).to.have.length(2);
  });

  it("its time may be over by then: only what has applied is accepted so", async () => {
    const [paid, unpaid] = [aHandedIn(owner), aHandedIn(owner)];
    await settle(dataSource, [creditOfCharge(paid)]);
    const onlyIfApplied = new ChargeRefusedError("payload.transaction", "it has expired");
    expect((await accept(paid, { onlyIfApplied })).status).to.equal("succeeded");
    const refused = await accept(unpaid, { onlyIfApplied }).catch((error: unknown) => error);
    expect(refused).to.equal(onlyIfApplied);
    expect(await dataSource.query("SELECT FROM charges")).to.have.length(1);
    expect(await dataSource.query("SELECT FROM submissions")).to.have.length(1);
  });

  it("G1: what somebody has decided about is not taken away from there, and is named", async () => {
    const handedIn = aHandedIn(owner);
    const credit = creditOfCharge(handedIn);
    await settle(dataSource, [credit]);
    await verdict(credit);
    const { message, facts } = await refusalOf(handedIn);
    expect(facts).to.deep.equal({ code: "applied", exceptions: [creditKeyText(credit)] });
    expect(message)
      .to.match(/^don't have another one signed/)
      .and.include(creditKeyText(credit));
    const books = await expectSound();
    expect([books.chargePayments.length, books.exceptions.length]).to.deep.equal([0, 1]);
    expect(await dataSource.query("SELECT FROM charges")).to.deep.equal([]);
    expect(await dataSource.query("SELECT FROM submissions")).to.deep.equal([]);
  });

  it("G2: what has paid a session, or names one, stays that session's", async () => {
    const [paid, late] = [aSession(owner), aSession(owner)];
    await openSessions(dataSource, paid, late);
    const [first, second] = [aHandedIn(owner), aHandedIn(owner)];
    const short = part(second, 1n, { memo: late.memoKey });
    await settle(dataSource, [creditFor(paid, { transactionHash: first.hash }), short]);
    expect((await refusalOf(first)).facts).to.deep.equal({ code: "applied", session_id: paid.id });
    expect((await refusalOf(second)).facts.exceptions).to.deep.equal([creditKeyText(short)]);
    await expectSound();
  });

  it("a stranger's hand: what does not carry the charge's memo stays an exception, whatever it carries instead", async () => {
    const names: Partial<Credit>[] = [
      { memo: null },
      { memo: aSession(owner).memoKey },
      { memo: aHandedIn(owner).charge.memoKey },
      { muxed: muxedId("7") },
    ];
    for (const naming of names) {
      const handedIn = aHandedIn(owner);
      const credit = creditOfCharge(handedIn, naming);
      await settle(dataSource, [credit]);
      const { facts } = await refusalOf(handedIn);
      expect(facts).to.deep.equal({ code: "applied", exceptions: [creditKeyText(credit)] });
    }
    const books = await expectSound();
    expect([books.chargePayments.length, books.exceptions.length]).to.deep.equal([0, names.length]);
    expect(await dataSource.query("SELECT FROM submissions")).to.deep.equal([]);
  });

  it("G6: another sum, another asset, or what nobody could read pays no charge", async () => {
    const [half, strange, unread] = [aHandedIn(owner), aHandedIn(owner), aHandedIn(owner)];
    await settle(dataSource, [
      part(half, 99_999_999n),
      creditOfCharge(strange, { asset: parseAsset(`USD:${newAccount()}`) }),
      anUnreadable(owner.account, { transactionHash: unread.hash }),
    ]);
    for (const handedIn of [half, strange, unread]) {
      const { facts } = await refusalOf(handedIn);
      expect([facts.code, facts.exceptions?.length]).to.deep.equal(["applied", 1]);
    }
    expect((await refusalOf(half)).message).to.include("ask again in a moment");
    await settle(dataSource, [part(half, 1n)]);
    expect((await accept(half)).status).to.equal("succeeded");
    await expectSound();
  });

  it("G6: what it brought another account is none of the charge's: it waits for its own", async () => {
    const other = await watchAccount(dataSource);
    const handedIn = aHandedIn(owner);
    await settle(dataSource, [creditOfCharge(handedIn, { account: other.account })]);
    expect((await accept(handedIn)).status).to.equal("pending");
    await settle(dataSource, [creditOfCharge(handedIn)]);
    expect((await expectSound()).chargePayments).to.have.length(1);
  });

  it("G1, G6: accepted, settled and decided about at one moment: the money has one place", async () => {
    const [second, third] = [await connect(database.url), await connect(database.url)];
    const ends = new Map<string, number>();
    try {
      for (let round = 0; round < 40; round++) {
        const handedIn = aHandedIn(owner);
        const credit = creditOfCharge(handedIn);
        if (round % 4 !== 0) await settle(dataSource, [credit]);
        const [accepted, , decided] = await Promise.all([
          accept(handedIn, { at: second }).catch((error: unknown) => error),
          settle(dataSource, [credit, creditFor(aSession(owner))]),
          verdict(credit, third).catch((error: unknown) => error),
        ]);
        const [row] = await dataSource.query("SELECT status FROM charges WHERE reference = $1", [
          handedIn.charge.reference,
        ]);
        if (row === undefined) expect(accepted).to.be.instanceOf(ChargeRefusedError);
        if (decided !== undefined) expect(decided).to.be.instanceOf(VerdictRefusedError);
        const end = `${row?.status ?? "refused"} ${decided === undefined ? "decided" : "not decided"}`;
        expect(end).to.be.oneOf(["succeeded not decided", "refused decided"]);
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
      await expectSound();
      expect([...ends.values()].reduce((sum, count) => sum + count)).to.equal(40);
    } finally {
      await Promise.all([second.destroy(), third.destroy()]);
    }
  });
});
