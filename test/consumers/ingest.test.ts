import { Asset, Keypair, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { streamKey } from "../../src/consumers/stream-keys.js";
import { type RedisServer, startRedis } from "../../src/machine/redis.js";
import type { FaultInput } from "../../src/sandbox/faults.js";
import { acceptHole } from "../../src/settlement/accept-hole.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { idMemo, muxedId, textMemo } from "../../src/stellar/memo.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { Stage } from "../sandbox/stage.js";
import { aSession, findContradictions, openSessions, readBooks } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import {
  differences,
  payAll,
  paymentOf,
  startIngest,
  type TestIngest,
  watchOnStage,
} from "../support/ingest.js";
import { eventually, plainRedis, startConsumer, type TestConsumer } from "../support/stream.js";

for (const mode of ["optional", "off"] as const)
  describe(`ingest: from the network into the books, LOCKS=${mode}`, () => {
    let database: TestDatabase;
    let server: RedisServer;
    let redis: Redis;
    let stage: Stage;
    let owner: Awaited<ReturnType<typeof watchOnStage>>;
    let payer: Keypair;
    let running: (TestIngest | TestConsumer)[];

    beforeEach(async () => {
      [database, server, stage] = await Promise.all([
        createTestDatabase(),
        startRedis({ appendonly: false }),
        Stage.open(),
      ]);
      redis = plainRedis(server.url);
      payer = stage.account("100000");
      owner = await watchOnStage(database.dataSource, stage);
      running = [];
    });
    afterEach(async () => {
      await Promise.all(running.map((actor) => actor.stop()));
      redis.disconnect();
      await stage[Symbol.asyncDispose]();
      await server.stop();
      await database.close();
    });

    const ingest = (count = 1) => {
      for (let i = 0; i < count; i++) {
        running.push(
          startIngest(server.url, database.dataSource, stage.sandbox.url, stage.network.passphrase),
        );
      }
    };
    const consume = (count = 1) => {
      for (let i = 0; i < count; i++) running.push(startConsumer(server.url, database.dataSource, { mode }));
    };
    const sessions = (count: number) =>
      openSessions(
        database.dataSource,
        // Sandbox ledgers close now: these sessions are open for a year.
        ...Array.from({ length: count }, () => aSession(owner, { expiresAt: new Date(Date.now() + 3e10) })),
      );
    const settledAll = (count: number) =>
      eventually(async () => {
        const [row] = await database.dataSource.query("SELECT count(*)::int AS n FROM credits");
        return row.n >= count;
      });
    const expectBooksToBalance = async () => {
      expect(await differences(database.dataSource, stage.network, owner.account)).to.deep.equal([]);
      expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
    };
    const watermark = async () => {
      const [row] = await database.dataSource.query("SELECT watermark, halted_because FROM stream_cursors");
      return { watermark: BigInt(row.watermark), haltedBecause: row.halted_because as string | null };
    };

    it("G1, G3: payments before, while and after ingest runs are all in the books, over several pages", async () => {
      const all = await sessions(450);
      payAll(stage, payer, all.slice(0, 250));
      ingest();
      consume(2);
      payAll(stage, payer, all.slice(250, 300));
      await settledAll(300);
      payAll(stage, payer, all.slice(300));
      await settledAll(450);
      await expectBooksToBalance();
      expect((await readBooks(database.dataSource)).payments).to.have.length(450);
    });

    it("G1, G3: every kind of operation that moves value is a credit, to the stroop", async () => {
      const { asset } = stage.asset("USDC", [payer]);
      stage.apply(stage.build(owner.key, [Operation.changeTrust({ asset })]));
      const [text, muxed, id] = await openSessions(
        database.dataSource,
        ...[textMemo(Buffer.from("café №1")), muxedId("18446744073709551615"), idMemo("7")].map((memoKey) =>
          aSession(owner, { memoKey, amount: toStroops(10n), expiresAt: new Date(Date.now() + 3e10) }),
        ),
      );
      if (!text || !muxed || !id) throw new Error("no sessions");
      const before = stage.network.credits.of(owner.account).length;
      const other = stage.account("500");
      // One transaction, two sessions: the memo is of the one, the muxed id of the other.
      stage.apply(
        stage.build(payer, [paymentOf(text).operation, paymentOf(muxed).operation], {
          memo: paymentOf(text).memo,
        }),
      );
      const destination = owner.account;
      stage.apply(
        stage.build(payer, [
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
      stage.apply(stage.build(other, [Operation.accountMerge({ destination })]));
      // What the account sends, and what fails, is no credit.
      stage.apply(
        stage.build(owner.key, [
          Operation.payment({ destination: payer.publicKey(), asset: Asset.native(), amount: "1" }),
        ]),
      );
      stage.network.inject({
        kind: "host_function",
        changes: [
          {
            type: "transfer",
            asset: "native",
            amount: "3.0000000",
            from: payer.publicKey(),
            to: destination,
          },
          {
            type: "transfer",
            asset: "native",
            amount: "4.0000000",
            from: payer.publicKey(),
            to: destination,
          },
          {
            type: "transfer",
            asset: "native",
            amount: "5.0000000",
            from: destination,
            to: payer.publicKey(),
          },
        ],
      });
      stage.network.closeLedger();
      stage.network.inject({
        kind: "record",
        accounts: [destination],
        record: { type: "quantum_payment", type_i: 99 },
      });
      stage.network.closeLedger();
      ingest();
      consume();
      const made = stage.network.credits.of(owner.account).length - before;
      await settledAll(made + 1);
      await expectBooksToBalance();
      const books = await readBooks(database.dataSource);
      expect(books.paidSessions).to.have.members([text.id, muxed.id]);
      expect(books.exceptions.filter((row) => row.reason === "unreadable")).to.have.length(1);
    });

    it("two ingest leaders at once: no gap and nothing twice", async () => {
      const all = await sessions(300);
      ingest(3);
      consume(2);
      for (let i = 0; i < all.length; i += 20) {
        payAll(stage, payer, all.slice(i, i + 20));
        // The leader's place is free again and again, so that leaders overlap.
        await redis.del(`paidonce:{${owner.account}}:leader`);
      }
      await settledAll(300);
      await expectBooksToBalance();
      expect((await readBooks(database.dataSource)).payments).to.have.length(300);
    });

    it("G4: a tail that moved back, as after a failover that lost the last second: no gap", async () => {
      const all = await sessions(120);
      ingest(2);
      payAll(stage, payer, all.slice(0, 60));
      const key = streamKey(owner.account);
      await eventually(async () => (await redis.xlen(key)) === 60);
      // The replica that was promoted had only the first half.
      const entries = await redis.xrange(key, "-", "+", "COUNT", 30);
      const back = redis.multi().del(key);
      for (const [id, fields] of entries) back.xadd(key, id, ...fields);
      await back.exec();
      payAll(stage, payer, all.slice(60));
      consume(2);
      await settledAll(120);
      await expectBooksToBalance();
    });

    it("G4: FLUSHALL again and again under load: nothing lost, nothing doubled", async () => {
      const all = await sessions(300);
      ingest(2);
      consume(3);
      for (let i = 0; i < all.length; i += 30) {
        payAll(stage, payer, all.slice(i, i + 30));
        await redis.flushall();
      }
      await settledAll(300);
      await expectBooksToBalance();
      expect((await readBooks(database.dataSource)).payments).to.have.length(300);
    });

    it("G4: kill -9 of Redis without persistence under load: nothing lost, nothing doubled", async () => {
      const all = await sessions(90);
      ingest();
      consume(2);
      for (let i = 0; i < all.length; i += 30) {
        payAll(stage, payer, all.slice(i, i + 30));
        await server.kill();
        await server.restart();
      }
      await settledAll(90);
      await expectBooksToBalance();
    });

    const faults: [string, FaultInput[]][] = [
      [
        "429, 500, 502, 503 and 504",
        [429, 500, 502, 503, 504].map((status) => ({
          kind: "status",
          status,
          reset: 1,
          path: "/accounts",
          probability: 0.1,
        })),
      ],
      ["answers that are cut off", [{ kind: "truncate", path: "/accounts", probability: 0.3 }]],
      [
        "records repeated and out of order, on pages and streams",
        [{ kind: "repeat", times: 3 }, { kind: "reorder" }],
      ],
      ["streams that say nothing", [{ kind: "sse_silent" }]],
      ["streams that report an error", [{ kind: "sse_error" }]],
      ["a server that lags, and one that does not, in turn", [{ kind: "lag", ledgers: 3, probability: 0.5 }]],
    ];
    for (const [name, rules] of faults) {
      it(`G3: Horizon with ${name}: no gap, nothing twice`, async () => {
        const all = await sessions(120);
        for (const rule of rules) stage.sandbox.faults.add(rule);
        ingest();
        consume();
        for (let i = 0; i < all.length; i += 10) {
          payAll(stage, payer, all.slice(i, i + 10));
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        for (let i = 0; i < 4; i++) stage.network.closeLedger();
        await settledAll(120);
        await expectBooksToBalance();
      });
    }

    it("a cursor older than the server's history halts the account with an alarm, and nothing is skipped", async () => {
      await stage[Symbol.asyncDispose]();
      stage = await Stage.open({ retention: 5 });
      payer = stage.account("100000");
      await database.dataSource.query("DELETE FROM stream_cursors");
      owner = await watchOnStage(database.dataSource, stage);
      const [lost, kept] = await sessions(2);
      if (!lost || !kept) throw new Error("no sessions");
      payAll(stage, payer, [lost]);
      for (let i = 0; i < 10; i++) stage.network.closeLedger();
      payAll(stage, payer, [kept]);
      consume();
      ingest();

      await eventually(async () => (await watermark()).haltedBecause !== null);
      expect((await watermark()).haltedBecause).to.match(/no longer has ledgers \d+ to \d+/);
      expect(await redis.xlen(streamKey(owner.account)), "nothing was read past the hole").to.equal(0);

      const elder = (stage.network.latest.sequence - 4) as LedgerSequence;
      const hole = await acceptHole(database.dataSource, owner.account, elder, "checked by hand");
      expect(hole).to.not.equal(null);
      // A new process finds the hole accepted and goes on.
      running.push(startIngest(server.url, database.dataSource, stage.sandbox.url, stage.network.passphrase));
      await redis.del(`paidonce:{${owner.account}}:leader`);
      await settledAll(1);
      expect((await readBooks(database.dataSource)).paidSessions).to.deep.equal([kept.id]);
      const holes = await database.dataSource.query("SELECT reason FROM history_holes");
      expect(holes).to.deep.equal([{ reason: "checked by hand" }]);
    });

    it("a quiet account's watermark follows the network, so that trimmed history is no hole", async () => {
      ingest();
      const before = (await watermark()).watermark;
      for (let i = 0; i < 10; i++) stage.network.closeLedger();
      await eventually(async () => (await watermark()).watermark > before + (5n << 32n));
      expect((await watermark()).haltedBecause).to.equal(null);
    });

    it("the watermark never passes a credit that is not committed", async () => {
      const all = await sessions(40);
      ingest();
      payAll(stage, payer, all);
      for (let i = 0; i < 10; i++) stage.network.closeLedger();
      await eventually(async () => (await redis.xlen(streamKey(owner.account))) === 40);
      const [first] = await redis.xrange(streamKey(owner.account), "-", "+", "COUNT", 1);
      // Nobody consumes: however long it watches, the watermark stays below the first entry.
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect((await watermark()).watermark < BigInt(first?.[0].split("-")[0] ?? 0)).to.equal(true);
      consume();
      await settledAll(40);
    });

    it("an account that does not exist yet is watched until it does", async () => {
      const key = Keypair.random();
      const account = key.publicKey() as AccountId;
      await database.dataSource.query(
        "INSERT INTO stream_cursors (account, starting_cursor, watermark) SELECT $1, starting_cursor, starting_cursor FROM stream_cursors",
        [account],
      );
      ingest();
      consume();
      await new Promise((resolve) => setTimeout(resolve, 200));
      stage.account("5", key);
      await settledAll(1);
      expect((await readBooks(database.dataSource)).exceptions.map((row) => row.reason)).to.deep.equal([
        "no_memo",
      ]);
    });

    it("a server of another network is refused before anything is read from it", async () => {
      const [session] = await sessions(1);
      if (!session) throw new Error("no session");
      payAll(stage, payer, [session]);
      running.push(startIngest(server.url, database.dataSource, stage.sandbox.url, "Some Other Network"));
      consume();
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await redis.xlen(streamKey(owner.account))).to.equal(0);
      ingest();
      await redis.del(`paidonce:{${owner.account}}:leader`);
      await settledAll(1);
    });
  });
