import { expect } from "chai";
import type { Redis } from "ioredis";
import { connectRedis } from "../../src/consumers/redis-connections.js";
import { Liveness } from "../../src/jobs/liveness.js";
import { PREFIX, RUNS_KEY } from "../../src/jobs/queues.js";
import { Worker } from "../../src/jobs/worker.js";
import { type RedisServer, startRedis } from "../../src/machine/redis.js";
import { aSession, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { type FreezingProxy, freezingProxy } from "../support/freezing-proxy.js";
import { eventually, plainRedis, silent } from "../support/stream.js";

describe("workers that stand although Redis is there", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let proxy: FreezingProxy;
  let redis: Redis;
  let worker: Worker;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    proxy = await freezingProxy(server.url);
    redis = plainRedis(server.url);
    worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(proxy.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      everyMs: 100,
      rescheduleMs: 60_000,
      liveness: { everyMs: 100, standingMs: 500 },
    });
    worker.start();
  });
  afterEach(async () => {
    await worker.stop();
    redis.disconnect();
    await proxy.stop();
    await server.stop();
    await database.close();
  });

  /** A session that is past its time: the expiry job finds it, if it runs. */
  const expiresOne = async () => {
    const owner = await watchAccount(database.dataSource);
    await openSessions(database.dataSource, aSession(owner));
    await database.dataSource.query("UPDATE stream_cursors SET settled_through = '2026-11-02'");
    await eventually(async () => {
      const open = await database.dataSource.query("SELECT FROM checkout_sessions WHERE status <> 'expired'");
      return open.length === 0;
    });
  };
  const restarts = () =>
    database.dataSource.query("SELECT detail FROM recovery_findings WHERE kind = 'worker_standing'");

  it("connections that hang after a failover: started anew, told, and the jobs run again", async () => {
    await expiresOne();
    expect(await restarts()).to.deep.equal([]);
    proxy.freeze();
    await expiresOne();
    expect((await restarts()).length).to.be.greaterThan(0);
  });

  it("a schedule that is there without its job: nobody runs it, and it is put back", async () => {
    await expiresOne();
    await redis.del(
      `${PREFIX}:maintenance:delayed`,
      `${PREFIX}:maintenance:wait`,
      `${PREFIX}:maintenance:prioritized`,
    );
    await expiresOne();
  });

  it("is not said of workers that run, of a flushed Redis, or while Redis is away", async () => {
    const liveness = new Liveness({ probe: redis, standingMs: 0 });
    const watched = {
      scheduled: [{ job: "relay", queue: "relay", every: 1_000 }],
      standsBecause: async () => null,
    };
    await redis.hset(RUNS_KEY, "relay", 7);
    expect(await liveness.look(watched), "first seen").to.equal(null);
    await redis.hincrby(RUNS_KEY, "relay", 1);
    expect(await liveness.look(watched), "it ran").to.equal(null);
    await redis.flushall();
    expect(await liveness.look(watched), "flushed").to.equal(null);
    await redis.hset(RUNS_KEY, "relay", 1);
    expect(await liveness.look(watched)).to.equal(null);
    expect(await liveness.look(watched)).to.match(/nobody has run the job relay/);
    await redis.hset(`${PREFIX}:relay:meta`, "paused", 1);
    expect(await liveness.look(watched), "paused by an operator").to.equal(null);
    const away = connectRedis(server.url, "test", silent);
    await away.ping();
    const probing = new Liveness({ probe: away, standingMs: 0 });
    expect(await probing.look(watched)).to.equal(null);
    await server.kill();
    expect(await probing.look(watched)).to.equal(null);
    away.disconnect();
    await server.restart();
  });
});
