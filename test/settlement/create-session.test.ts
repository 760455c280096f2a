import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import {
  createSession,
  SessionRefusedError,
  type SessionRequest,
} from "../../src/settlement/create-session.js";
import { type Asset, NATIVE } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { EXPIRES_AT, newAccount, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("createSession", () => {
  let database: TestDatabase;
  let request: SessionRequest;
  let others: { account: AccountId; merchantId: string };

  before(async () => {
    database = await createTestDatabase();
    others = await watchAccount(database.dataSource);
  });
  after(() => database.close());
  beforeEach(async () => {
    const owner = await watchAccount(database.dataSource);
    request = { ...owner, memoKey: idMemo("7"), asset: NATIVE, amount: toStroops(1n), expiresAt: EXPIRES_AT };
  });

  const create = (changes: Partial<SessionRequest> = {}) =>
    createSession(database.dataSource.manager, { ...request, ...changes });

  it("makes a pending session of what was asked for, without grace unless one is given", async () => {
    const session = await create();
    expect(session).to.deep.include({ ...request, status: "pending", graceSeconds: 0, paidAt: null });
    expect((await create({ memoKey: idMemo("8"), graceSeconds: 60 })).graceSeconds).to.equal(60);
  });

  it("takes every kind of reference, and amounts up to the network's largest", async () => {
    const references = [
      textMemo(Buffer.from("a")),
      textMemo(Buffer.alloc(28, 0xff)),
      idMemo("18446744073709551615"),
      hashMemo("hash", Buffer.alloc(32)),
      muxedId("0"),
    ];
    for (const memoKey of references) {
      const amount = toStroops(2n ** 63n - 1n);
      expect(await create({ memoKey, amount })).to.deep.include({ memoKey, amount });
    }
  });

  it("ids grow with time, so that sessions made together lie together", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await create({ memoKey: idMemo(String(100 + i)) })).id);
    expect(ids).to.deep.equal([...ids].sort());
  });

  it("one memo on two accounts is two sessions; a text 7, an id 7 and a muxed 7 on one account are one", async () => {
    const made = await create({ memoKey: idMemo("7") });
    for (const memoKey of [textMemo(Buffer.from("7")), muxedId("7")]) {
      const refused = await create({ memoKey }).catch((error: unknown) => error);
      expect(refused).to.include({ constraint: "sessions_reference_unique_per_account" });
      expect(refused).to.have.property("message").that.includes("are one");
    }
    await create({ memoKey: textMemo(Buffer.from("07")) });
    const other = await watchAccount(database.dataSource);
    await create({ ...other, memoKey: made.memoKey });
  });

  it("of many at once with one memo on one account, one is made", async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => create()));
    expect(results.filter(({ status }) => status === "fulfilled")).to.have.length(1);
    for (const result of results) {
      if (result.status === "rejected") {
        expect(result.reason).to.include({ constraint: "sessions_reference_unique_per_account" });
      }
    }
  });

  const REFUSED: readonly [what: string, () => Partial<SessionRequest>, constraint: string, words: RegExp][] =
    [
      [
        "an account that nobody watches",
        () => ({ account: newAccount() }),
        "sessions_account_is_watched",
        /not watched/,
      ],
      [
        "an unknown merchant",
        () => ({ merchantId: uuidv7() }),
        "sessions_merchant_exists",
        /no such merchant/,
      ],
      [
        "an amount of zero",
        () => ({ amount: toStroops(0n) }),
        "sessions_amount_positive",
        /greater than zero/,
      ],
      [
        "an empty text memo",
        () => ({ memoKey: "text:" as MemoKey }),
        "sessions_memo_key_canonical",
        /1 to 28 bytes/,
      ],
      ["a negative grace", () => ({ graceSeconds: -1 }), "sessions_grace_in_range", /30 days/],
      ["a grace over 30 days", () => ({ graceSeconds: 2_592_001 }), "sessions_grace_in_range", /30 days/],
      [
        "an asset that the account is not registered for",
        () => ({ asset: `USDC:${newAccount()}` as Asset }),
        "asset_not_allowed",
        /not registered for this asset/,
      ],
      [
        "another merchant's account",
        () => ({ account: others.account }),
        "sessions_account_is_the_merchants",
        /not registered for this merchant/,
      ],
    ];

  for (const [what, changes, constraint, words] of REFUSED) {
    it(`refuses ${what}, by the constraint's name and in words`, async () => {
      const error = await create(changes()).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(SessionRefusedError);
      expect(error).to.include({ constraint });
      expect(error).to.have.property("message").that.matches(words);
    });
  }
});
