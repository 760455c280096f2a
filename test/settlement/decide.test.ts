import { expect } from "chai";
import fc from "fast-check";
import { CHARGE_STATUSES } from "../../src/entities/charge.js";
import { type DecidableSession, decide, lastMoment } from "../../src/settlement/decide.js";
import { type Asset, NATIVE, parseAsset } from "../../src/stellar/asset.js";
import type { Credit } from "../../src/stellar/credit.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { referenceOf, referenceOfKey } from "../../src/stellar/reference.js";
import { MAX_STROOPS, toStroops } from "../../src/stellar/stroops.js";
import { aSession, creditFor, newAccount } from "../support/books.js";
import { aHandedIn } from "../support/handed-in-charges.js";

const owner = { account: newAccount(), merchantId: "00000000-0000-7000-8000-000000000000" };
const usdc = parseAsset(`USDC:${newAccount()}`);
const otherUsdc = parseAsset(`USDC:${newAccount()}`);

const amounts = fc.bigInt({ min: 1n, max: MAX_STROOPS }).map(toStroops);
const times = fc.date({ min: new Date("2020-01-01"), max: new Date("2040-01-01"), noInvalidDate: true });
const assets: fc.Arbitrary<Asset> = fc.constantFrom(NATIVE, usdc, otherUsdc);
const memos: fc.Arbitrary<MemoKey> = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 28 }).map(textMemo),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((id) => idMemo(id)),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((id) => muxedId(id)),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hashMemo("hash", bytes)),
);
const sessions: fc.Arbitrary<DecidableSession & { memoKey: MemoKey }> = fc
  .record({
    asset: assets,
    amount: amounts,
    memoKey: memos,
    status: fc.constantFrom("pending", "processing", "paid", "expired", "cancelled"),
    expiresAt: times,
    graceSeconds: fc.nat({ max: 2_592_000 }),
  })
  .map((parts) => aSession(owner, parts as Parameters<typeof aSession>[1]));
const cases: fc.Arbitrary<{ session: ReturnType<typeof aSession>; credit: Credit }> = fc
  .record({ session: sessions, asset: assets, amount: amounts, closedAt: times })
  .map(({ session, ...overrides }) => ({
    session: session as ReturnType<typeof aSession>,
    credit: creditFor(session as ReturnType<typeof aSession>, overrides),
  }));

describe("decide", () => {
  it("pays exactly when asset, time, amount and status all allow it, and the surplus is exact", () => {
    fc.assert(
      fc.property(cases, ({ session, credit }) => {
        const outcome = decide(session, credit, null);
        const mayPay =
          ["pending", "processing", "expired"].includes(session.status) &&
          session.asset === credit.asset &&
          credit.closedAt <= lastMoment(session) &&
          credit.amount >= session.amount;
        expect(outcome.kind === "payment").to.equal(mayPay);
        if (outcome.kind === "payment") expect(session.amount + outcome.surplus).to.equal(credit.amount);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is a function of its arguments: the same again gives the same, and changes neither", () => {
    fc.assert(
      fc.property(cases, ({ session, credit }) => {
        const before = structuredClone({ session, credit });
        expect(decide(session, credit, null)).to.deep.equal(decide(session, credit, null));
        expect({ session, credit }).to.deep.equal(before);
      }),
    );
  });

  it("gives every credit a reason that names its session, or none where no session is named", () => {
    fc.assert(
      fc.property(fc.option(cases), cases, (named, { credit }) => {
        const outcome = decide(named?.session ?? null, named?.credit ?? credit, null);
        if (outcome.kind === "exception") {
          expect(outcome.sessionId === null).to.equal(["unmatched", "no_memo"].includes(outcome.reason));
          expect(outcome.detail).to.have.length.above(0);
        }
      }),
    );
  });

  it("a charge goes before everything: it is paid exactly when it is open or has succeeded, by its memo, in its asset, on its account", () => {
    const charges = fc
      .record({
        status: fc.constantFrom(...CHARGE_STATUSES),
        asset: assets,
        account: fc.constantFrom(owner.account, newAccount()),
        memoKey: fc.option(memos),
      })
      .map((parts) => aHandedIn(owner, parts).charge);
    fc.assert(
      fc.property(fc.option(cases), cases, charges, fc.boolean(), (named, { credit }, any, carriesMemo) => {
        const [session, paying] = [named?.session ?? null, named?.credit ?? credit];
        const charge = carriesMemo ? { ...any, memoKey: paying.muxed ?? paying.memo } : any;
        const isNamed = charge.memoKey === null || referenceOf(paying) === referenceOfKey(charge.memoKey);
        const outcome = decide(session, paying, charge);
        const isOver = charge.status === "cancelled" || charge.status === "failed";
        if (isNamed && !isOver && charge.asset === paying.asset && charge.account === paying.account) {
          expect(outcome).to.deep.equal({ kind: "charge_payment", chargeId: charge.id });
          return;
        }
        const usual = decide(session, paying, null);
        if (usual.kind === "exception" && usual.sessionId === null) {
          const detail = `${usual.detail}; its transaction was handed in for charge ${charge.id}`;
          expect(outcome).to.deep.equal({ ...usual, detail });
        } else {
          expect(outcome).to.deep.equal(usual);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  const pending = aSession(owner, { asset: usdc });
  const reason = (session: DecidableSession | null, credit: Credit) => {
    const outcome = decide(session, credit, null);
    return outcome.kind === "exception" ? outcome.reason : "payment";
  };

  it("an asset is code and issuer: the same code from another issuer is wrong_asset, and any token for XLM", () => {
    expect(reason(pending, creditFor(pending, { asset: otherUsdc }))).to.equal("wrong_asset");
    expect(reason(pending, creditFor(pending, { asset: NATIVE }))).to.equal("wrong_asset");
    const xlm = aSession(owner);
    expect(reason(xlm, creditFor(xlm, { asset: usdc }))).to.equal("wrong_asset");
  });

  it("a session is paid by what names it: a muxed id, an id memo and a typed number are one, and all else is unmatched", () => {
    const named = aSession(owner, { memoKey: idMemo("7") });
    const by = (naming: Partial<Credit>) => reason(named, creditFor(named, naming));
    const other = idMemo("8");
    expect(by({ memo: null, muxed: muxedId("7") })).to.equal("payment");
    expect(by({ memo: other, muxed: muxedId("7") })).to.equal("payment");
    expect(by({ memo: textMemo(Buffer.from("7")) })).to.equal("payment");
    expect(by({ muxed: muxedId("8") }), "the muxed id goes first").to.equal("unmatched");
    expect(by({ memo: textMemo(Buffer.from("07")) })).to.equal("unmatched");
    expect(by({ memo: other })).to.equal("unmatched");
  });

  it("a payment to another account with the session's memo is no payment of it", () => {
    expect(reason(pending, creditFor(pending, { account: newAccount() }))).to.equal("unmatched");
  });

  it("a second credit is a duplicate, whatever else is odd about it", () => {
    const paid = { ...pending, status: "paid" as const };
    expect(reason(paid, creditFor(pending))).to.equal("duplicate");
    expect(reason(paid, creditFor(pending, { asset: NATIVE, closedAt: new Date("2040-01-01") }))).to.equal(
      "duplicate",
    );
  });

  it("one stroop short is underpaid; exact and one stroop over pay", () => {
    const with1 = (difference: bigint) =>
      creditFor(pending, { amount: toStroops(pending.amount + difference) });
    expect(reason(pending, with1(-1n))).to.equal("underpaid");
    expect(reason(pending, with1(0n))).to.equal("payment");
    expect(decide(pending, with1(1n), null)).to.deep.include({ kind: "payment", surplus: 1n });
  });

  it("the ledger's close time judges expiry, to the second, with the merchant's grace", () => {
    const graceful = aSession(owner, { graceSeconds: 60 });
    const at = (ms: number) => creditFor(graceful, { closedAt: new Date(graceful.expiresAt.getTime() + ms) });
    expect(reason(graceful, at(60_000))).to.equal("payment");
    expect(reason(graceful, at(60_001))).to.equal("late");
  });

  it("a session that a job has expired is still paid by a ledger that closed in time", () => {
    const expired = aSession(owner, { status: "expired" });
    expect(reason(expired, creditFor(expired))).to.equal("payment");
  });

  it("a session in processing settles like a pending one; a cancelled one does not", () => {
    const processing = aSession(owner, { status: "processing" });
    expect(reason(processing, creditFor(processing))).to.equal("payment");
    const cancelled = aSession(owner, { status: "cancelled" });
    expect(reason(cancelled, creditFor(cancelled))).to.equal("late");
  });

  it("says what the credit named, and of a charge's credit what it was handed in for", () => {
    const detailOf = (credit: Credit, charge: ReturnType<typeof aHandedIn>["charge"] | null = null) => {
      const outcome = decide(null, credit, charge);
      return outcome.kind === "exception" ? outcome.detail : expect.fail("no exception");
    };
    const nameless = creditFor(pending, { memo: null, muxed: null });
    const numbered = creditFor(pending, { memo: idMemo("7"), muxed: null });
    expect(detailOf(nameless)).to.equal("the payment carries no memo and no muxed id");
    expect(detailOf(numbered)).to.equal("no session of this account has id:7");
    expect(detailOf({ ...numbered, muxed: muxedId("8") })).to.equal("no session of this account has muxed:8");
    const { charge } = aHandedIn(owner, { status: "cancelled" });
    expect(detailOf(nameless, charge)).to.equal(
      `the payment carries no memo and no muxed id; its transaction was handed in for charge ${charge.id}`,
    );
  });

  it("no memo is told apart from an unknown one", () => {
    expect(reason(null, creditFor(pending, { memo: null, muxed: null }))).to.equal("no_memo");
    expect(reason(null, creditFor(pending))).to.equal("unmatched");
  });
});
