import { Asset, Keypair, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { acceptHole } from "../../src/settlement/watch-account.js";
import { parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { idMemo, muxedId, textMemo } from "../../src/stellar/memo.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { aSession, openSessions, readBooks } from "../support/books.js";
import { payAll, paymentOf } from "../support/ingest.js";
import { someOf } from "../support/long.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

for (const mode of someOf(["off", "optional"] as const))
  describe(`ingest: from the network into the books, LOCKS=${mode}`, () => {
    let spine: Spine;

    beforeEach(async () => {
      spine = await Spine.open(mode);
    });
    afterEach(() => spine[Symbol.asyncDispose]());

    it("G1, G3: payments before, while and after ingest runs are all in the books, over several pages", async () => {
      const all = await spine.sessions(450);
      payAll(spine.stage, spine.payer, all.slice(0, 250));
      spine.ingest();
      spine.consume(2);
      payAll(spine.stage, spine.payer, all.slice(250, 300));
      await spine.settledAll(300);
      payAll(spine.stage, spine.payer, all.slice(300));
      await spine.settledAll(450);
      await spine.expectBooksToBalance(450);
    });

    it("G1: the same transaction submitted again, before its ledger closes and after: one payment", async () => {
      const [session] = await spine.sessions(1);
      if (!session) throw new Error("no session");
      const { operation, memo } = paymentOf(session);
      const transaction = spine.stage.build(spine.payer, [operation], { memo });
      const submit = async () => {
        const { body } = await spine.stage.submitForm("/transactions_async", transaction);
        return [body.tx_status, body.hash];
      };
      const hash = Buffer.from(transaction.hash()).toString("hex");
      spine.ingest(2);
      spine.consume(2);
      expect(await submit()).to.deep.equal(["PENDING", hash]);
      expect(await submit()).to.deep.equal(["DUPLICATE", hash]);
      spine.stage.network.closeLedger();
      // Its number is used up, by itself: stellar-core looks into no history.
      expect(await submit()).to.deep.equal(["ERROR", hash]);
      spine.stage.network.closeLedger();
      // What comes later is settled later: by then a second copy of the first would be seen.
      const [last] = await spine.sessions(1);
      payAll(spine.stage, spine.payer, last ? [last] : []);
      await spine.settledAll(2);
      await spine.expectBooksToBalance(2);
    });

    it("G1, G3: every kind of operation that moves value is a credit, to the stroop", async () => {
      const { asset } = spine.stage.asset("USDC", [spine.payer]);
      spine.stage.apply(spine.stage.build(spine.owner.key, [Operation.changeTrust({ asset })]));
      const [text, muxed, id] = await openSessions(
        spine.database.dataSource,
        ...[textMemo(Buffer.from("café №1")), muxedId("18446744073709551615"), idMemo("7")].map((memoKey) =>
          aSession(spine.owner, { memoKey, amount: toStroops(10n), expiresAt: new Date(Date.now() + 3e10) }),
        ),
      );
      if (!text || !muxed || !id) throw new Error("no sessions");
      const before = spine.stage.network.credits.of(spine.owner.account).length;
      const other = spine.stage.account("500");
      // One transaction, two sessions: the memo is of the one, the muxed id of the other.
      spine.stage.apply(
        spine.stage.build(spine.payer, [paymentOf(text).operation, paymentOf(muxed).operation], {
          memo: paymentOf(text).memo,
        }),
      );
      const destination = spine.owner.account;
      spine.stage.apply(
        spine.stage.build(spine.payer, [
          Operation.pathPaymentStrictReceive({
            sendAsset: Asset.native(),
            sendMax: "100",
            destination,
            destAsset: asset,
            destAmount: "1.0000001",
          }),
          Operation.pathPaymentStrictSend({
            sendAsset: asset,
            sendAmount: "2",
            destination,
            destAsset: asset,
            destMin: "0.1",
          }),
        ]),
      );
      spine.stage.apply(spine.stage.build(other, [Operation.accountMerge({ destination })]));
      // What the account sends, and what fails, is no credit.
      spine.stage.apply(
        spine.stage.build(spine.owner.key, [
          Operation.payment({ destination: spine.payer.publicKey(), asset: Asset.native(), amount: "1" }),
        ]),
      );
      spine.stage.network.inject({
        kind: "host_function",
        changes: [
          {
            type: "transfer",
            asset: "native",
            amount: "3.0000000",
            from: spine.payer.publicKey(),
            to: destination,
          },
          {
            type: "transfer",
            asset: "native",
            amount: "4.0000000",
            from: spine.payer.publicKey(),
            to: destination,
          },
          {
            type: "transfer",
            asset: "native",
            amount: "5.0000000",
            from: destination,
            to: spine.payer.publicKey(),
          },
        ],
      });
      spine.stage.network.closeLedger();
      spine.stage.network.inject({
        kind: "record",
        accounts: [destination],
        record: { type: "quantum_payment", type_i: 99 },
      });
      spine.stage.network.closeLedger();
      spine.ingest();
      spine.consume();
      const made = spine.stage.network.credits.of(spine.owner.account).length - before;
      await spine.settledAll(made + 1);
      await spine.expectBooksToBalance();
      const books = await readBooks(spine.database.dataSource);
      expect(books.paidSessions).to.have.members([text.id, muxed.id]);
      expect(books.exceptions.filter((row) => row.reason === "unreadable")).to.have.length(1);
    });

    it("a cursor older than the server's history halts the account with an alarm, and nothing is skipped", async () => {
      await spine[Symbol.asyncDispose]();
      spine = await Spine.open(mode, { retention: 5 });
      const [lost, kept] = await spine.sessions(2);
      if (!lost || !kept) throw new Error("no sessions");
      payAll(spine.stage, spine.payer, [lost]);
      for (let i = 0; i < 10; i++) spine.stage.network.closeLedger();
      payAll(spine.stage, spine.payer, [kept]);
      spine.consume();
      spine.ingest();

      await eventually(async () => (await spine.watermark()).haltedBecause !== null);
      expect((await spine.watermark()).haltedBecause).to.match(/no longer has ledgers \d+ to \d+/);
      expect(
        await spine.redis.xlen(streamKey(spine.owner.account)),
        "nothing was read past the hole",
      ).to.equal(0);

      const elder = (spine.stage.network.latest.sequence - 4) as LedgerSequence;
      const hole = await acceptHole(spine.database.dataSource, spine.owner.account, elder, "checked by hand");
      expect(hole).to.not.equal(null);
      // A new process finds the hole accepted and goes on.
      spine.ingest();
      await spine.depose();
      await spine.settledAll(1);
      expect((await readBooks(spine.database.dataSource)).paidSessions).to.deep.equal([kept.id]);
      const holes = await spine.database.dataSource.query("SELECT reason FROM history_holes");
      expect(holes).to.deep.equal([{ reason: "checked by hand" }]);
    });

    it("a quiet account's watermark follows the network at ten minutes' distance, so that trimmed history is no hole", async () => {
      let now = Date.now();
      await using quiet = await Spine.open(mode, { clock: () => now, retention: 16 });
      quiet.ingest();
      const { watermark: before } = await quiet.watermark();
      const reached = (ledger: number) =>
        eventually(async () => (await quiet.readThrough()) >= endOfLedger(ledger as LedgerSequence));
      for (let i = 0; i < 30; i++) {
        now += 60_000;
        quiet.stage.network.closeLedger();
        await reached(quiet.stage.network.latest.sequence);
      }
      const { sequence } = quiet.stage.network.latest;
      const tenMinutesAgo = endOfLedger((sequence - 10) as LedgerSequence);
      await eventually(async () => (await quiet.watermark()).watermark >= tenMinutesAgo - (1n << 32n));
      // Never nearer: a server behind the balancer may be as far behind.
      const { watermark, haltedBecause } = await quiet.watermark();
      expect(watermark > before).to.equal(true);
      expect(watermark <= tenMinutesAgo).to.equal(true);
      expect(haltedBecause).to.equal(null);
    });

    it("G2: a session in the account's own asset is paid by what comes back to its issuer", async () => {
      const { owner, payer, stage } = spine;
      const gift = new Asset("GIFT", owner.account);
      const asset = parseAsset(`GIFT:${owner.account}`);
      stage.apply(stage.build(payer, [Operation.changeTrust({ asset: gift })]));
      const issued = Operation.payment({ destination: payer.publicKey(), asset: gift, amount: "100" });
      stage.apply(stage.build(owner.key, [issued]));
      const expiresAt = new Date(Date.now() + 3e10);
      const [session] = await openSessions(
        spine.database.dataSource,
        aSession(owner, { asset, amount: toStroops(25_000_000n), expiresAt }),
      );
      if (session === undefined) throw new Error("no session");
      spine.ingest();
      spine.consume();
      payAll(stage, payer, [session]);
      await spine.settledAll(1);
      await spine.expectBooksToBalance(1);
    });

    it("the watermark never passes a credit that is not committed", async () => {
      const all = await spine.sessions(40);
      spine.ingest();
      payAll(spine.stage, spine.payer, all);
      for (let i = 0; i < 10; i++) spine.stage.network.closeLedger();
      await eventually(async () => (await spine.redis.xlen(streamKey(spine.owner.account))) === 40);
      const [first] = await spine.redis.xrange(streamKey(spine.owner.account), "-", "+", "COUNT", 1);
      // Nobody consumes: however long it watches, the watermark stays below the first entry.
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect((await spine.watermark()).watermark < BigInt(first?.[0].split("-")[0] ?? 0)).to.equal(true);
      spine.consume();
      await spine.settledAll(40);
    });

    it("an account that does not exist yet is watched until it does", async () => {
      const key = Keypair.random();
      const account = key.publicKey() as AccountId;
      await spine.database.dataSource.query(
        "INSERT INTO stream_cursors (account, starting_cursor, watermark) SELECT $1, starting_cursor, starting_cursor FROM stream_cursors",
        [account],
      );
      spine.ingest();
      spine.consume();
      await new Promise((resolve) => setTimeout(resolve, 200));
      spine.stage.account("5", key);
      await spine.settledAll(1);
      expect((await readBooks(spine.database.dataSource)).exceptions.map((row) => row.reason)).to.deep.equal([
        "no_memo",
      ]);
    });

    it("a server of another network is refused before anything is read from it", async () => {
      const [session] = await spine.sessions(1);
      if (!session) throw new Error("no session");
      payAll(spine.stage, spine.payer, [session]);
      spine.ingest(1, "Some Other Network");
      spine.consume();
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await spine.redis.xlen(streamKey(spine.owner.account))).to.equal(0);
      spine.ingest();
      await spine.depose();
      await spine.settledAll(1);
    });
  });
