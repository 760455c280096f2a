import { expect } from "chai";
import { moveToDeadLetters } from "../../src/consumers/dead-letters.js";
import { sweep } from "../../src/consumers/sweep.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { claimStream } from "../../src/stream/claim-stream.js";
import {
  claimIdle,
  ensureGroup,
  idleConsumers,
  listAbandoned,
  readNew,
  removeConsumer,
} from "../../src/stream/consumer-group.js";
import type { RawEntry } from "../../src/stream/entry.js";
import { deadLetterKey, GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { networkStreams } from "../../src/stream/streams.js";
import { openTestRedis, type TestRedis } from "../support/backends/redis.js";
import { refuseRow } from "../support/bad-rows.js";
import { aSession, creditFor, openSessions, readBooks, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { append, eventually, silent, startConsumer } from "../support/stream.js";

/** What a dead replica was handed: one entry of one account, delivered to it once. */
describe("entries in somebody's hands", () => {
  let database: TestDatabase;
  let server: TestRedis;
  let redis: RedisClient;
  let account: AccountId;
  let taken: RawEntry;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), openTestRedis()]);
    redis = server.client;
    const owner = await watchAccount(database.dataSource);
    account = owner.account;
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    await ensureGroup(redis, account);
    await append(redis, [creditFor(session)]);
    const [first] = await readNew(redis, "dead", [account], 1, 100);
    if (first === undefined) throw new Error("nothing was delivered");
    taken = first;
  });
  afterEach(async () => {
    await server.stop();
    await database.close();
  });

  const parts = (dataSource = database.dataSource) => {
    const locks = new SessionLocks({ servers: [], mode: "off", leaseMs: 1_000, logger: silent });
    return { redis, dataSource, locks, logger: silent };
  };
  const options = { consumer: "alive", claimIdleMs: 0, maxDeliveries: 4, count: 10 };
  const deadLetters = () => redis.xlen(deadLetterKey(account));

  /** Who has the entry, and how often it was delivered; undefined where nobody has it. */
  async function pending(): Promise<{ consumer: string; idleMs: number; deliveries: number } | undefined> {
    const rows = (await redis.xpending(streamKey(account), GROUP, "-", "+", 1)) as [
      id: string,
      consumer: string,
      idleMs: number,
      deliveries: number,
    ][];
    const [row] = rows;
    return row && { consumer: row[1], idleMs: row[2], deliveries: row[3] };
  }

  it("are tried as often as the limit says, and are dead letters at the next delivery, not before", async () => {
    for (let delivery = 2; delivery < options.maxDeliveries; delivery++) {
      await claimIdle(redis, "dead", account, 0, 1);
    }
    const last = await sweep(parts(), account, options);
    expect(last.map(({ id }) => id)).to.deep.equal([taken.id]);
    expect((await pending())?.deliveries).to.equal(options.maxDeliveries);
    expect(await deadLetters()).to.equal(0);
    expect((await readBooks(database.dataSource)).exceptions).to.deep.equal([]);

    expect(await sweep(parts(), account, options)).to.deep.equal([]);
    expect(await deadLetters()).to.equal(1);
    expect((await readBooks(database.dataSource)).exceptions.map(({ reason }) => reason)).to.deep.equal([
      "unreadable",
    ]);
  });

  it("are listed for recovery up to the same limit, and not past it", async () => {
    const listed = () => listAbandoned(redis, account, { idleMs: 0, maxDeliveries: 2, count: 10 });
    await claimIdle(redis, "dead", account, 0, 1);
    expect(await listed()).to.deep.equal([taken.id]);
    await claimIdle(redis, "dead", account, 0, 1);
    expect(await listed()).to.deep.equal([]);
  });

  it("leave the stream only after their exception is in Postgres", async () => {
    await database.setReadOnly(true);
    const delivery = { ...taken, deliveries: 9 };
    const error: unknown = await moveToDeadLetters(redis, database.dataSource, delivery).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(Error);
    expect(await redis.xlen(streamKey(account)), "still in the stream").to.equal(1);
    expect((await pending())?.consumer, "still in the same hands").to.equal("dead");
    expect(await deadLetters()).to.equal(0);

    await database.setReadOnly(false);
    expect((await moveToDeadLetters(redis, database.dataSource, delivery)).moved).to.equal(true);
    expect(await redis.xlen(streamKey(account))).to.equal(0);
    expect(await deadLetters()).to.equal(1);
  });

  it("one that can't be moved to the dead letters keeps no other from being taken over, in its own stream or in another", async () => {
    const owner = await watchAccount(database.dataSource);
    account = owner.account;
    await ensureGroup(redis, account);
    const sessions = await openSessions(database.dataSource, aSession(owner), aSession(owner));
    const credits = sessions.map((session) => creditFor(session));
    await append(redis, credits);
    const [poison, ...others] = await readNew(redis, "dead", [account], 10, 100);
    if (poison === undefined) throw new Error("nothing was delivered");
    await refuseRow(
      database.dataSource,
      "credits",
      `NEW.operation_id = ${poison.id.split("-")[0]}`,
      "INSERT",
    );
    // Delivered more often than the others, as one that kills its consumers is.
    for (let i = 0; i < options.maxDeliveries; i++) {
      await redis.call("XCLAIM", streamKey(account), GROUP, "dead", "0", poison.id);
    }
    const taken = await sweep(parts(), account, options);
    expect(taken.map(({ id }) => id)).to.deep.equal(others.map(({ id }) => id));
    expect((await pending())?.consumer, "still pending").to.equal("alive");
    expect(await deadLetters()).to.equal(0);
  });

  it("of other accounts are read and settled although one account's key holds something else", async () => {
    const owner = await watchAccount(database.dataSource);
    const late = await watchAccount(database.dataSource);
    const consumer = startConsumer(server.target, database.dataSource);
    try {
      const settled = async (count: number) =>
        eventually(async () => (await readBooks(database.dataSource)).credits.length === count);
      for (const [count, wreck] of [
        // One that is there from the start, and one that is put in its place under a consumer that reads it.
        [1, () => redis.set(streamKey(late.account), "x")],
        [2, () => redis.set(streamKey(account), "x")],
      ] as const) {
        await wreck();
        const [session] = await openSessions(database.dataSource, aSession(owner));
        if (session === undefined) throw new Error("no session");
        await append(redis, [creditFor(session)]);
        await settled(count + 1);
      }
      await redis.del(streamKey(late.account));
      const [session] = await openSessions(database.dataSource, aSession(late));
      if (session === undefined) throw new Error("no session");
      await append(redis, [creditFor(session)]);
      await settled(4);
    } finally {
      await consumer.stop();
    }
  });

  it("are claimed by nobody while the database is away: each claim would bring them nearer to the dead letters", async () => {
    const away = await createTestDatabase();
    await away.close();
    const error: unknown = await sweep(parts(away.dataSource), account, options).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(Error);
    const { consumer, deliveries } = (await pending()) ?? {};
    expect({ consumer, deliveries }).to.deep.equal({ consumer: "dead", deliveries: 1 });
  });

  it("keep their reader's name in the group: a name goes only once nothing is pending under it", async () => {
    expect(await idleConsumers(redis, account, -1)).to.deep.equal([]);
    expect(await removeConsumer(redis, account, "dead")).to.equal(false);
    expect((await pending())?.consumer).to.equal("dead");

    await claimIdle(redis, "alive", account, 0, 1);
    expect(await idleConsumers(redis, account, -1)).to.deep.equal(["dead"]);
    expect(await removeConsumer(redis, account, "dead")).to.equal(true);
    expect((await pending())?.consumer).to.equal("alive");
  });

  it("are held on to while their session is locked elsewhere: no claim counts against them", async () => {
    const owner = await watchAccount(database.dataSource);
    account = owner.account;
    await ensureGroup(redis, account);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const locks = new SessionLocks({ servers: [redis], mode: "required", leaseMs: 5_000, logger: silent });
    const held = Promise.withResolvers<void>();
    const holding = locks.hold([session], async () => {
      held.resolve();
      await released;
    });
    await held.promise;
    // It holds on after a third of this time; a process that stands still for the other two thirds would lose the entry.
    const consumer = startConsumer(server.target, database.dataSource, {
      mode: "required",
      claimIdleMs: 24_000,
    });
    try {
      await append(redis, [creditFor(session)]);
      let idleMs = 0;
      let deliveries = 0;
      await eventually(async () => {
        const now = await pending();
        if (now === undefined) return false;
        const isTouched = now.idleMs < idleMs;
        ({ idleMs, deliveries } = now);
        return isTouched;
      });
      expect(deliveries).to.equal(1);
    } finally {
      release();
      await holding;
      await consumer.stop();
    }
  });

  it("of the network's feed: versions are numbers, so that 10 comes after 9, and 100 after 89", async () => {
    const [stream] = networkStreams(1);
    if (stream === undefined) throw new Error("no stream");
    for (const [older, newer] of [
      [9n, 10n],
      [10n, 89n],
      [89n, 100n],
      [100n, 12_345_678_901_234_567n],
      [12_345_678_901_234_567n, 12_345_678_901_234_568n],
    ] as const) {
      expect((await claimStream(redis, stream, older)).kind, `${older}`).to.equal("claimed");
      expect(await claimStream(redis, stream, newer), `${newer} after ${older}`).to.deep.equal({
        kind: "claimed",
        tail: "0-0",
      });
      expect(await claimStream(redis, stream, older), `${older} after ${newer}`).to.deep.equal({
        kind: "newer",
        version: newer,
      });
    }
  });
});
