import { Asset, Memo, Operation, type Transaction } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { changeShards } from "../../src/ingest/account-feed.js";
import { readStreams } from "../../src/status/read-stream.js";
import { muxedAddress } from "../../src/stellar/account.js";
import type { AccountId, Credit } from "../../src/stellar/credit.js";
import { idMemo } from "../../src/stellar/memo.js";
import { GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { streamFor, streamsOf } from "../../src/stream/streams.js";
import { aSession, creditFor, newAccount } from "../support/books.js";
import { payAll } from "../support/ingest.js";
import { someOf } from "../support/long.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

const owner = { account: newAccount(), merchantId: "" };
const creditWith = (names: Partial<Credit>) => creditFor(aSession(owner), names);

describe("an account's credits in several streams", () => {
  it("one memo is always in the same stream, and memos are spread evenly", () => {
    const streams = streamsOf(newAccount(), 8);
    const counts = new Map(streams.map((stream) => [stream, 0]));
    for (let i = 0; i < 8_000; i++) {
      const credit = creditWith({ memo: idMemo(String(i)) });
      const stream = streamFor(credit, streams);
      expect(streamFor(creditWith({ memo: idMemo(String(i)) }), streams)).to.equal(stream);
      counts.set(stream, (counts.get(stream) ?? 0) + 1);
    }
    for (const count of counts.values()) expect(count).to.be.within(700, 1_300);
  });

  it("the muxed id decides before the memo, as it does in settlement", () => {
    const streams = streamsOf(newAccount(), 64);
    const [muxed, memo] = [idMemo("1"), idMemo("2")];
    expect(streamFor(creditWith({ muxed, memo }), streams)).to.equal(
      streamFor(creditWith({ muxed, memo: null }), streams),
    );
  });

  it("one stream has the account's own name, as in every version before there were shards", () => {
    const account = newAccount();
    expect(streamsOf(account, 1)).to.deep.equal([account]);
    expect(streamKey(account)).to.equal(`paidonce:{${account}}:credits`);
  });
});

for (const mode of someOf(["off", "optional"] as const)) {
  describe(`shards, changed while everything runs (locks ${mode})`, () => {
    let spine: Spine;
    const account = () => spine.owner.account;
    const lengths = (shards: number) =>
      Promise.all(streamsOf(account(), shards).map((stream) => spine.redis.xlen(streamKey(stream))));
    /** How many shards the leader has removed the streams of, once it has. */
    const changed = () =>
      eventually(async () => {
        const [row] = await spine.database.dataSource.query("SELECT former_shards FROM stream_cursors");
        return row.former_shards === null;
      });

    beforeEach(async () => {
      spine = await Spine.open(mode);
    });
    afterEach(() => spine[Symbol.asyncDispose]());

    it("G1, G2, G3: with 1, 4, 3 and 1 streams under load every credit is settled once", async () => {
      spine.ingest(2);
      spine.consume(2);
      let settled = 0;
      for (const shards of [1, 4, 3, 1]) {
        const sessions = await spine.sessions(40);
        const half = sessions.slice(0, 20);
        payAll(spine.stage, spine.payer, half);
        if (shards !== 1 || settled > 0) {
          await eventually(async () => {
            const { kind } = await changeShards(spine.database.dataSource, account(), shards);
            return kind !== "under_way";
          });
        }
        payAll(spine.stage, spine.payer, sessions.slice(20));
        settled += sessions.length;
        await spine.settledAll(settled);
        await changed();
      }
      await spine.expectBooksToBalance(settled);
    });

    it("a session is paid by its first payment, whichever of the three forms of its number each payment carries", async () => {
      await changeShards(spine.database.dataSource, account(), 16);
      spine.ingest();
      spine.consume(2);
      const sessions = await spine.sessions(12);
      const { stage, payer, owner } = spine;
      const forms = (number: string): Transaction[] => {
        const pay = (destination: string, memo: Memo) =>
          stage.build(payer, [Operation.payment({ destination, asset: Asset.native(), amount: "10" })], {
            memo,
          });
        return [
          () => pay(muxedAddress(owner.account, number), Memo.none()),
          () => pay(owner.account, Memo.id(number)),
          () => pay(owner.account, Memo.text(number)),
        ].map((form) => form());
      };
      const firsts: string[] = [];
      for (const [i, session] of sessions.entries()) {
        const number = session.memoKey.slice(3);
        for (let k = 0; k < 3; k++) {
          // Built anew each time: each needs the payer's next sequence number.
          const transaction = forms(number)[(i + k) % 3] ?? expect.fail("no form");
          stage.apply(transaction);
          if (k === 0) firsts.push(Buffer.from(transaction.hash()).toString("hex"));
        }
      }
      await spine.settledAll(36);
      const paid: { transaction_hash: string }[] = await spine.database.dataSource.query(
        "SELECT transaction_hash FROM payments JOIN credits USING (operation_id, move_index) ORDER BY operation_id",
      );
      expect(paid.map((row) => row.transaction_hash)).to.deep.equal(firsts);
      const reasons: { reason: string }[] = await spine.database.dataSource.query(
        "SELECT DISTINCT reason FROM payment_exceptions",
      );
      expect(reasons).to.deep.equal([{ reason: "duplicate" }]);
      await spine.expectBooksToBalance(12);
    });

    it("a backlog in the old streams is settled from the new ones, and the old ones are removed", async () => {
      spine.ingest();
      const sessions = await spine.sessions(60);
      payAll(spine.stage, spine.payer, sessions);
      await eventually(async () => (await lengths(1))[0] === 60);
      await changeShards(spine.database.dataSource, account(), 4);
      await changed();
      // Empty at once, and gone once nobody reads it any more: a waiting reader must not lose its key.
      expect(await spine.redis.xlen(streamKey(account()))).to.equal(0);
      expect(await spine.redis.pttl(streamKey(account()))).to.be.within(1, 60_000);
      const spread = await lengths(4);
      expect(spread.reduce((a, b) => a + b)).to.equal(60);
      expect(spread.filter((length) => length > 0)).to.have.length(4);
      const cursor = { account: account(), shards: 4 };
      expect((await readStreams(spine.redis, cursor, new Date())).backlog).to.equal(60);
      spine.consume(2);
      await spine.settledAll(60);
      await spine.expectBooksToBalance(60);
    });

    it("every stream's tail follows the leader, so that a quiet one holds back no successor", async () => {
      await changeShards(spine.database.dataSource, account(), 8);
      spine.ingest();
      spine.consume();
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      payAll(spine.stage, spine.payer, [session]);
      await spine.settledAll(1);
      await eventually(async () => {
        const { tail } = await readStreams(spine.redis, { account: account(), shards: 8 }, new Date());
        const [row] = await spine.database.dataSource.query("SELECT operation_id FROM credits");
        return BigInt(tail.split("-")[0] ?? 0) >= BigInt(row.operation_id);
      });
    });

    it("G4: with one of the streams lost, and then all of them, the same credits end in the same rows", async () => {
      await changeShards(spine.database.dataSource, account(), 4);
      spine.ingest(2);
      const sessions = await spine.sessions(50);
      payAll(spine.stage, spine.payer, sessions.slice(0, 25));
      await eventually(async () => (await lengths(4)).reduce((a, b) => a + b) === 25);
      const [, lost] = streamsOf(account(), 4);
      await spine.redis.del(streamKey(lost as AccountId));
      payAll(spine.stage, spine.payer, sessions.slice(25));
      spine.consume(2);
      await spine.settledAll(50);
      await spine.server.flush();
      const more = await spine.sessions(10);
      payAll(spine.stage, spine.payer, more);
      await spine.settledAll(60);
      await spine.expectBooksToBalance(60);
    });

    it("no consumer leaves anything pending in a stream that is not needed any more", async () => {
      spine.ingest();
      spine.consume(2);
      const sessions = await spine.sessions(20);
      await changeShards(spine.database.dataSource, account(), 2);
      payAll(spine.stage, spine.payer, sessions);
      await spine.settledAll(20);
      await changed();
      for (const stream of streamsOf(account(), 2)) {
        await eventually(async () => {
          // Not there before the first consumer has noticed it.
          const [pending] = await spine.redis.xpending(streamKey(stream), GROUP).catch(() => [null]);
          return pending === 0;
        });
      }
      await eventually(async () => (await lengths(2)).every((length) => length === 0));
      await spine.expectBooksToBalance(20);
    });
  });
}
