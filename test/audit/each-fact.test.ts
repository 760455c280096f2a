import { expect } from "chai";
import type { BookedCredit } from "../../src/audit/books.js";
import { checkSessions } from "../../src/audit/check-books.js";
import { compareCredits } from "../../src/audit/compare-credits.js";
import { settle } from "../../src/settlement/settle.js";
import { BEFORE_ALL, type OperationId } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { aSession, creditFor, newAccount, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const END = 9_000_000_000_000_000_000n as OperationId;

describe("what an audit compares", () => {
  const session = aSession({ account: newAccount(), merchantId: "" });
  // Named by its muxed id and by its memo, as an exception that names nobody: nothing but the facts is compared.
  const credit = creditFor(session, {
    muxed: "muxed:1" as typeof session.memoKey,
    memo: "id:2" as typeof session.memoKey,
    innerHash: "e".repeat(64) as NonNullable<ReturnType<typeof creditFor>["innerHash"]>,
  });
  const row: BookedCredit = {
    operationId: credit.operationId,
    moveIndex: credit.moveIndex,
    account: credit.account,
    transactionHash: credit.transactionHash,
    asset: credit.asset,
    amount: credit.amount,
    closedAt: credit.closedAt,
    outcome: "exception",
    innerHash: credit.innerHash,
    sender: credit.from,
    memoKey: credit.memo,
    muxedKey: credit.muxed,
    reason: "unmatched",
    detail: "",
    handedInFor: null,
    paysCharge: null,
    payment: null,
  };
  const OTHER: readonly (readonly [fact: string, change: Partial<BookedCredit>])[] = [
    ["amount", { amount: credit.amount + 1n }],
    ["amount", { amount: null }],
    ["asset", { asset: `USD:${credit.account}` }],
    ["account", { account: newAccount() }],
    ["transaction", { transactionHash: "f".repeat(64) }],
    ["inner transaction", { innerHash: "f".repeat(64) }],
    ["sender", { sender: newAccount() }],
    ["sender", { sender: null }],
    ["memo", { memoKey: "id:3" }],
    ["memo", { memoKey: null }],
    ["muxed id", { muxedKey: "muxed:2" }],
    ["muxed id", { muxedKey: null }],
    ["closed at", { closedAt: new Date(credit.closedAt.getTime() + 1) }],
    ["closed at", { closedAt: null }],
  ];

  it("is nothing but what differs", () => {
    expect(compareCredits([credit], [row])).to.deep.equal([]);
  });

  for (const [fact, change] of OTHER) {
    const [value] = Object.values(change);
    it(`is the ${fact}: ${value === null ? "none" : "another one"} in the books is an altered credit`, () => {
      const [difference, ...rest] = compareCredits([credit], [{ ...row, ...change }]);
      expect(rest).to.deep.equal([]);
      expect(difference).to.include({ kind: "altered" });
      expect(difference?.detail).to.match(new RegExp(`^${fact}: the network says`));
    });
  }

  it("is a muxed id too where the network told of none", () => {
    const plain = { ...credit, muxed: null };
    expect(compareCredits([plain], [row]).map(({ kind }) => kind)).to.deep.equal(["altered"]);
  });

  describe("in a later run", () => {
    let database: TestDatabase;

    before(async () => {
      database = await createTestDatabase();
    });
    after(() => database.close());

    it("is what was paid since the earlier one: that one's findings are its own, and new ones are found", async () => {
      const { dataSource } = database;
      const owner = await watchAccount(dataSource);
      const at = (minute: number) => new Date(Date.UTC(2026, 10, 1, 12, minute));
      const [before, after] = await openSessions(dataSource, aSession(owner), aSession(owner));
      if (before === undefined || after === undefined) throw new Error("no sessions");
      for (const [{ id }, paidAt] of [
        [before, at(10)],
        [after, at(30)],
      ] as const) {
        await dataSource.query("UPDATE checkout_sessions SET status = 'paid', paid_at = $2 WHERE id = $1", [
          id,
          paidAt,
        ]);
      }
      const found = async (since: Date | null) =>
        (await checkSessions(dataSource.manager, owner.account, BEFORE_ALL, END, since)).map(
          ({ kind, subject }) => `${kind} ${subject}`,
        );
      const [earlier, later] = [`no_payment ${before.id}`, `no_payment ${after.id}`];
      expect(await found(null)).to.have.members([earlier, later]);
      expect(await found(at(20))).to.deep.equal([later]);
      expect(await found(at(5))).to.have.members([earlier, later]);
      expect(await found(at(40))).to.deep.equal([]);
    });

    it("is what was announced since, and nothing that an earlier one has looked at", async () => {
      const { dataSource } = database;
      const owner = await watchAccount(dataSource);
      const [before, after] = await openSessions(dataSource, aSession(owner), aSession(owner));
      if (before === undefined || after === undefined) throw new Error("no sessions");
      await settle(dataSource, [
        creditFor(before, { amount: toStroops(100_000_000n) }),
        creditFor(after, { amount: toStroops(100_000_000n) }),
      ]);
      const ids = [before.id, after.id];
      await dataSource.query("DELETE FROM payments WHERE session_id = ANY($1::uuid[])", [ids]);
      await dataSource.query(
        "UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = ANY($1::uuid[])",
        [ids],
      );
      for (const [id, at] of [
        [before.id, "2026-11-01T12:10:00Z"],
        [after.id, "2026-11-01T12:30:00Z"],
      ]) {
        await dataSource.query("UPDATE outbox_events SET created_at = $2 WHERE session_id = $1", [id, at]);
      }
      const found = async (since: Date | null) =>
        (await checkSessions(dataSource.manager, owner.account, BEFORE_ALL, END, since)).map(
          ({ kind, subject }) => `${kind} ${subject}`,
        );
      const [earlier, later] = [`announced_unpaid ${before.id}`, `announced_unpaid ${after.id}`];
      expect(await found(null)).to.have.members([earlier, later]);
      expect(await found(new Date("2026-11-01T12:20:00Z"))).to.deep.equal([later]);
    });
  });
});
