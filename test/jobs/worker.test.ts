import { expect } from "chai";
import type { Redis } from "ioredis";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aSession, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { eventually, plainRedis, silent } from "../support/stream.js";

describe("the job worker", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let workers: Worker[];

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    workers = [];
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const start = (intervals: { everyMs: number; rescheduleMs?: number }): Worker => {
    const worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(server.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      ...intervals,
    });
    workers.push(worker);
    worker.start();
    return worker;
  };

  /** Opens sessions that are past their time on the network's clock. */
  const openDue = async (count = 1): Promise<void> => {
    const owner = await watchAccount(database.dataSource);
    await openSessions(database.dataSource, ...Array.from({ length: count }, () => aSession(owner)));
    await database.dataSource.query("UPDATE stream_cursors SET settled_through = '2026-11-02'");
  };
  const allExpired = () =>
    eventually(async () => {
      const [{ open }] = await database.dataSource.query(
        "SELECT count(*)::int AS open FROM checkout_sessions WHERE status <> 'expired'",
      );
      return open === 0;
    });

  it("expires sessions on schedule, again and again", async () => {
    start({ everyMs: 100 });
    for (let round = 0; round < 3; round++) {
      await openDue();
      await allExpired();
    }
  });

  it("runs its jobs although the schedule is written more often than they are due", async () => {
    start({ everyMs: 400, rescheduleMs: 20 });
    for (let round = 0; round < 3; round++) {
      await openDue();
      await allExpired();
    }
  });

  it("G4: puts the schedule back after FLUSHALL", async () => {
    start({ everyMs: 100, rescheduleMs: 100 });
    await openDue();
    await allExpired();
    await redis.flushall();
    await openDue();
    await allExpired();
  });

  it("G4: goes on after kill -9 of a Redis that kept nothing", async () => {
    start({ everyMs: 100, rescheduleMs: 100 });
    await server.kill();
    await openDue();
    await server.restart();
    await allExpired();
  });

  it("several replicas expire each session once", async () => {
    for (let i = 0; i < 3; i++) start({ everyMs: 50, rescheduleMs: 50 });
    await openDue(300);
    await allExpired();
    const [{ count }] = await database.dataSource.query("SELECT count(*) FROM outbox_events");
    expect(count).to.equal("300");
  });

  it("one that stops leaves no connection behind, and the others go on", async () => {
    const one = start({ everyMs: 100 });
    start({ everyMs: 100 });
    await one.stop();
    await openDue();
    await allExpired();
    for (const worker of workers) await worker.stop();
    await eventually(async () => !/name=paidonce-/.test(String(await redis.client("LIST"))));
  });

  it("can be started while Redis is away, and begins when it is there", async () => {
    await server.kill();
    start({ everyMs: 100 });
    await openDue();
    await server.restart();
    await allExpired();
  });

  it("can be stopped while Redis is away", async () => {
    const worker = start({ everyMs: 100, rescheduleMs: 50 });
    await server.kill();
    await eventually(async () => redis.status !== "ready");
    await worker.stop();
  });
});
