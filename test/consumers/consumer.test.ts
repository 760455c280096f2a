import { expect } from "chai";
import type { LockMode } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import { type Credit, compareKeys } from "../../src/stellar/credit.js";
import { readPosition } from "../../src/stream/append-entries.js";
import { claimIdle, ensureGroup, readNew, removeConsumer } from "../../src/stream/consumer-group.js";
import { signEntry } from "../../src/stream/entry-mac.js";
import { deadLetterKey, GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { openTestRedis, type TestRedis } from "../support/backends/redis.js";
import {
  aSession,
  creditFor,
  findContradictions,
  nextOperationId,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { TEST_KEY } from "../support/entry-key.js";
import { append, copyOf, drained, eventually, startConsumer, type TestConsumer } from "../support/stream.js";

for (const mode of ["optional", "required", "off"] as LockMode[]) {
  describe(`consumers, LOCKS=${mode}`, () => {
    let database: TestDatabase;
    let server: TestRedis;
    let redis: RedisClient;
    let consumers: TestConsumer[];

    beforeEach(async () => {
      [database, server] = await Promise.all([createTestDatabase(), openTestRedis()]);
      redis = server.client;
      consumers = [];
    });
    afterEach(async () => {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await server.stop();
      await database.close();
    });

    const start = (count: number) => {
      for (let i = 0; i < count; i++)
        consumers.push(startConsumer(server.target, database.dataSource, { mode }));
    };

    it("G2: two payments for one session at the same instant through several consumers: one wins", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 100 }, () => aSession(owner)),
      );
      const credits = sessions.flatMap((session) => [creditFor(session), creditFor(session)]);
      // Interleaved, and read one by one, so that the two credits of a session meet in different consumers.
      for (let i = 0; i < 4; i++) {
        // On a busy machine an entry changes hands again and again: none may end as poison for that.
        const patient = { batch: 3, maxDeliveries: 1_000 };
        consumers.push(startConsumer(server.target, database.dataSource, { mode, ...patient }));
      }
      await append(redis, credits.sort(compareKeys));
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(findContradictions(books)).to.deep.equal([]);
      expect(books.payments).to.have.length(100);
      expect(books.exceptions.map((row) => row.reason)).to.deep.equal(Array(100).fill("duplicate"));
    });

    it("G1: entries that a dead consumer left pending are claimed and settled once", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 10 }, () => aSession(owner)),
      );
      await ensureGroup(redis, owner.account);
      await append(
        redis,
        sessions.map((session) => creditFor(session)),
      );
      const taken = await readNew(redis, "dead", [owner.account], 100, 100);
      expect(taken).to.have.length(10);

      start(2);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.payments).to.have.length(10);
      expect(findContradictions(books)).to.deep.equal([]);
      await eventually(async () => {
        await removeConsumer(redis, owner.account, "dead");
        const names = (await redis.xinfo("CONSUMERS", streamKey(owner.account), GROUP)) as string[][];
        return names.every((fields) => !fields.includes("dead"));
      });
    });

    it("G1: poison ends alone in the dead letters and as an exception; its neighbours are settled", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 6 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      const [poison] = credits;
      if (poison === undefined) throw new Error("no credit");
      await ensureGroup(redis, owner.account);
      await append(redis, credits);
      // It has been delivered again and again: whoever had it died.
      await readNew(redis, "dead", [owner.account], 1, 100);
      for (let i = 0; i < 6; i++) await claimIdle(redis, "dead", owner.account, 0, 1);
      const [id = "", fields = []] =
        (await redis.xrange(streamKey(owner.account), "-", "+", "COUNT", 1))[0] ?? [];

      start(2);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.payments).to.have.length(5);
      expect(books.exceptions).to.deep.equal([{ key: id, reason: "unreadable", session_id: null }]);
      expect(findContradictions(books)).to.deep.equal([]);
      const letters = await redis.xrange(deadLetterKey(owner.account), "-", "+");
      expect(letters).to.have.length(1);
      expect(letters[0]?.[1].slice(4)).to.deep.equal(fields);
    });

    it("G1: garbage in the stream becomes unreadable exceptions under its own ids; nothing stops", async () => {
      const owner = await watchAccount(database.dataSource);
      const [session] = await openSessions(database.dataSource, aSession(owner));
      if (session === undefined) throw new Error("no session");
      const key = streamKey(owner.account);
      const garbage: string[][] = [
        ["nonsense", "1"],
        ["v", "99", "kind", "credit", "record", "{}"],
        ["v", "1", "kind", "credit", "record", "x".repeat(300_000)],
        ["v", "1", "kind", "credit", "record", "{}", "tx", "ab", "asset", "native", "amount", "1.0"],
        [
          "v",
          "1",
          "kind",
          "credit",
          "record",
          "{}",
          "tx",
          "0".repeat(64),
          "asset",
          "native",
          "amount",
          "1e3",
          "closed_at",
          "2026-01-01",
        ],
      ];
      for (const fields of garbage) {
        const id = `${nextOperationId()}-0`;
        await redis.xadd(key, id, ...signEntry(TEST_KEY, owner.account, id, fields));
      }
      await append(redis, [creditFor(session)]);

      start(2);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.payments).to.have.length(1);
      expect(books.exceptions.map((row) => row.reason)).to.deep.equal(
        Array(garbage.length).fill("unreadable"),
      );
      expect(findContradictions(books)).to.deep.equal([]);
    });

    it("G4: FLUSHALL under load, with everything delivered again: the same rows", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 300 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      start(3);
      for (let round = 0; round < 3; round++) {
        // What ingest does after a flush: from the watermark, which here has not moved, all of it again.
        await append(redis, credits);
        await server.flush();
      }
      await append(redis, credits);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.payments).to.have.length(300);
      expect(findContradictions(books)).to.deep.equal([]);
    });

    it("G4: kill -9 of Redis without persistence: consumers come back and settle what ingest brings again", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 50 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      start(2);
      await append(redis, credits.slice(0, 25));
      await server.crash(streamKey(owner.account));
      await append(redis, credits);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.payments).to.have.length(50);
      expect(findContradictions(books)).to.deep.equal([]);
    });

    it("a database that takes no writes: nothing is acknowledged, and all is settled once it takes them", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 20 }, () => aSession(owner)),
      );
      await ensureGroup(redis, owner.account);
      await database.setReadOnly(true);
      start(2);
      await append(
        redis,
        sessions.map((session) => creditFor(session)),
      );
      // Taken, tried, and still pending.
      await eventually(async () => {
        const [pending] = (await redis.xpending(streamKey(owner.account), GROUP)) as [number];
        return pending === 20;
      });
      expect(await redis.xlen(streamKey(owner.account))).to.equal(20);
      await database.setReadOnly(false);
      await drained(redis, owner.account);
      const books = await readBooks(database.dataSource);
      expect(findContradictions(books)).to.deep.equal([]);
      expect(books.payments).to.have.length(20);
    });

    it("an entry that its group lost is read again, so that the watermark can move on", async () => {
      const owner = await watchAccount(database.dataSource);
      const [session] = await openSessions(database.dataSource, aSession(owner));
      if (session === undefined) throw new Error("no session");
      await ensureGroup(redis, owner.account);
      await append(redis, [creditFor(session)]);
      await readNew(redis, "gone", [owner.account], 1, 100);
      await redis.xgroup("DELCONSUMER", streamKey(owner.account), GROUP, "gone");

      start(1);
      await drained(redis, owner.account);

      expect((await readBooks(database.dataSource)).payments).to.have.length(1);
    });

    it("a clean stop finishes the batch and leaves no name and no pending entry behind", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 50 }, () => aSession(owner)),
      );
      start(2);
      await append(
        redis,
        sessions.map((session) => creditFor(session)),
      );
      await eventually(async () => (await readBooks(database.dataSource)).payments.length > 0);
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      consumers = [];

      expect(await redis.xinfo("CONSUMERS", streamKey(owner.account), GROUP)).to.deep.equal([]);
      const { oldest } = await readPosition(redis, owner.account);
      const books = await readBooks(database.dataSource);
      expect(books.payments.length === 50).to.equal(
        oldest === null,
        "settled exactly when gone from the stream",
      );
    });

    it("G1: 1000 copies of one event to 4 consumers: one row", async () => {
      const owner = await watchAccount(database.dataSource);
      const [session] = await openSessions(database.dataSource, aSession(owner));
      if (session === undefined) throw new Error("no session");
      const credit: Credit = creditFor(session);
      start(4);
      for (let copy = 0; copy < 1000; copy++) {
        // Deleting the stream makes Redis take the same id again.
        const [id, ...fields] = copyOf(credit);
        await redis
          .multi()
          .del(streamKey(owner.account))
          .xadd(streamKey(owner.account), String(id), ...fields)
          .exec();
        if (copy % 50 === 0) await eventually(async () => (await redis.xlen(streamKey(owner.account))) === 0);
      }
      await drained(redis, owner.account);
      const books = await readBooks(database.dataSource);
      expect(books.credits).to.have.length(1);
      expect(findContradictions(books)).to.deep.equal([]);
    });
  });
}
