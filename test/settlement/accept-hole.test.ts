import { expect } from "chai";
import { HistoryHole, StreamCursor } from "../../src/entities/stream-cursor.js";
import { acceptHole } from "../../src/settlement/watch-account.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { newAccount, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const ledger = (sequence: number) => sequence as LedgerSequence;

describe("acceptHole", () => {
  let database: TestDatabase;
  let account: AccountId;

  beforeEach(async () => {
    database = await createTestDatabase();
    ({ account } = await watchAccount(database.dataSource));
    await database.dataSource.manager.update(
      StreamCursor,
      { account },
      { watermark: endOfLedger(ledger(100)), haltedBecause: "ledgers are missing", haltedAt: new Date() },
    );
  });
  afterEach(() => database.close());

  const cursor = () => database.dataSource.manager.findOneByOrFail(StreamCursor, { account });
  const holes = () => database.dataSource.manager.find(HistoryHole);

  it("moves the watermark to where the server's history begins, ends the halt, and keeps who lost what", async () => {
    const hole = await acceptHole(database.dataSource, account, ledger(120), "checked by hand, ticket 7");

    expect(hole).to.include({
      missingFrom: endOfLedger(ledger(100)) + 1n,
      missingTo: endOfLedger(ledger(119)),
      reason: "checked by hand, ticket 7",
    });
    expect(await cursor()).to.include({
      watermark: endOfLedger(ledger(119)),
      haltedBecause: null,
      haltedAt: null,
    });
    expect(await holes()).to.have.length(1);
  });

  it("without a hole it moves nothing and records nothing", async () => {
    const before = await cursor();
    for (const elder of [0, 2, 100, 101]) {
      expect(
        await acceptHole(database.dataSource, account, ledger(elder), "to be sure"),
        `${elder}`,
      ).to.equal(null);
    }
    expect(await cursor()).to.deep.equal(before);
    expect(await holes()).to.deep.equal([]);
  });

  it("twice, also at once, is one hole", async () => {
    const all = await Promise.all(
      [1, 2, 3].map(() => acceptHole(database.dataSource, account, ledger(120), "r")),
    );
    expect(all.filter((hole) => hole !== null)).to.have.length(1);
    expect(await holes()).to.have.length(1);
  });

  it("wants a reason, and an account that is watched; else nothing is changed", async () => {
    const before = await cursor();
    for (const [who, reason] of [
      [account, ""],
      [newAccount(), "a reason"],
    ] as const) {
      const error = await acceptHole(database.dataSource, who, ledger(120), reason).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(Error);
    }
    expect(await cursor()).to.deep.equal(before);
    expect(await holes()).to.deep.equal([]);
  });
});
