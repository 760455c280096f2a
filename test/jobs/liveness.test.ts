import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import type { Finding } from "../../src/findings/findings-log.js";
import { Liveness } from "../../src/jobs/liveness.js";
import { PREFIX, QueueWorker, RUNS_KEY, SCHEDULED_QUEUE } from "../../src/jobs/queue.js";
import { Worker } from "../../src/jobs/worker.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
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
  let told: Finding[];
  let connections: string[];

  const startWorker = (): Worker => {
    const started = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) => {
        connections.push(name);
        const options = { maxRetriesPerRequest: null, commandTimeout: undefined };
        return connectRedis(proxy.url, name, silent, options);
      },
      recovery: {
        passphrase: "none: there is no Horizon here, and so no recovery",
        locks: new SessionLocks({ servers: [], mode: "off", leaseMs: 5_000, logger: silent }),
        redis,
        everySeconds: 300,
        afterSeconds: 300,
        maxDeliveries: 5,
        onFinding: (finding) => told.push(finding),
      },
      everyMs: 100,
      rescheduleMs: 60_000,
      sayAliveMs: 50,
      liveness: { everyMs: 100, standingMs: 500 },
    });
    started.start();
    return started;
  };

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    proxy = await freezingProxy(server.url);
    redis = plainRedis(server.url);
    told = [];
    connections = [];
    worker = startWorker();
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
  const failures = () =>
    database.dataSource.query("SELECT detail FROM recovery_findings WHERE kind = 'worker_standing'");

  it("connections that hang after a failover: it fails, recorded and counted; one that is started again runs the jobs", async () => {
    await expiresOne();
    expect(await failures()).to.deep.equal([]);
    proxy.freeze();
    expect(await worker.failed).to.match(/gives no answer|nobody has run/);
    expect(await failures()).to.have.length(1);
    expect(told.map(({ kind, action }) => [kind, action])).to.deep.equal([["worker_standing", "restarted"]]);
    const asked = performance.now();
    await worker.stop();
    expect(performance.now() - asked).to.be.below(5_000);
    worker = startWorker();
    await expiresOne();
  });

  it("a run that lasts longer than any patience is left alone, and holds up no other job", async () => {
    await expiresOne();
    const count = async () => Number(await redis.hget(RUNS_KEY, "expiry"));
    const holder = database.dataSource.createQueryRunner();
    await holder.startTransaction();
    // The test's own pauses are no fault of a client.
    await holder.query("SET LOCAL idle_in_transaction_session_timeout = 0");
    await holder.query("LOCK TABLE checkout_sessions IN ACCESS EXCLUSIVE MODE");
    const before = await count();
    // Every 50 ms: two seconds and more, of which a quarter would be enough to fail.
    await eventually(async () => (await count()) > before + 40);
    await holder.rollbackTransaction();
    await holder.release();
    expect(await failures()).to.deep.equal([]);
    await expiresOne();
  });

  it("a schedule whose next run lies hours ahead, by a clock that was wrong: removed, and written from scratch by the next", async () => {
    await expiresOne();
    await worker.stop();
    const queue = new Queue(SCHEDULED_QUEUE, { connection: redis, prefix: PREFIX });
    await queue.removeJobScheduler("expiry");
    const startDate = Date.now() + 5 * 3_600_000;
    await queue.upsertJobScheduler("expiry", { every: 100, startDate }, { name: "expiry" });
    await queue.close();
    worker = startWorker();
    expect(await worker.failed).to.include("nobody has run the job expiry");
    await worker.stop();
    worker = startWorker();
    await expiresOne();
  });

  it("a queue's worker that ends by itself fails all of them, with its reason", async () => {
    const context = {
      dataSource: database.dataSource,
      logger: silent,
      forQueues: redis,
      forWorkers: connectRedis(server.url, "test", silent, { maxRetriesPerRequest: null }),
    };
    const ended = Promise.withResolvers<string>();
    const queue = new QueueWorker(
      "odd",
      { ...context, onEnded: ended.resolve },
      { run: async () => null, jobs: {} },
    );
    queue.start();
    // BullMQ refuses to run a worker twice: a rejection like any other.
    queue.start();
    expect(await ended.promise).to.match(/the worker of the queue odd has ended: .*already running/i);
    await queue.stop(false);
    context.forWorkers.disconnect();
  });

  it("a stop while it fails: nothing is started any more, and the stop ends", async () => {
    await expiresOne();
    proxy.freeze();
    await eventually(async () => told.length > 0);
    const before = [...connections];
    await worker.stop();
    expect(connections).to.deep.equal(before);
  });

  it("a paused queue has its whole time again after a resume", async () => {
    let now = 0;
    const intervals = new Map([["nightly", 1_000]]);
    const liveness = new Liveness({ probe: redis, intervals, standingMs: 1_000, now: () => now });
    const meta = `${PREFIX}:${SCHEDULED_QUEUE}:meta`;
    expect(await liveness.look()).to.equal(null);
    await redis.hset(meta, "paused", 1);
    for (now of [900, 1_800, 2_700]) expect(await liveness.look(), "paused").to.equal(null);
    await redis.hdel(meta, "paused");
    now = 3_600;
    expect(await liveness.look(), "just resumed").to.equal(null);
    now = 3_701;
    expect(await liveness.look()).to.deep.equal({ job: "nightly", seconds: 1 });
  });

  it("a schedule that is there without its job: nobody runs it, and the next worker puts it back", async () => {
    await expiresOne();
    await redis.del(
      `${PREFIX}:${SCHEDULED_QUEUE}:delayed`,
      `${PREFIX}:${SCHEDULED_QUEUE}:wait`,
      `${PREFIX}:${SCHEDULED_QUEUE}:prioritized`,
    );
    expect(await worker.failed).to.include("nobody has run the job");
    await worker.stop();
    worker = startWorker();
    await expiresOne();
  });

  it("is not said of workers that run, of a flushed Redis, or while Redis is away", async () => {
    const intervals = new Map([["relay", 1_000]]);
    const liveness = new Liveness({ probe: redis, intervals, standingMs: 0 });
    await redis.hset(RUNS_KEY, "relay", 7);
    expect(await liveness.look(), "first seen").to.equal(null);
    await redis.hincrby(RUNS_KEY, "relay", 1);
    expect(await liveness.look(), "it ran").to.equal(null);
    await redis.flushall();
    expect(await liveness.look(), "flushed").to.equal(null);
    await redis.hset(RUNS_KEY, "relay", 1);
    expect(await liveness.look()).to.equal(null);
    expect(await liveness.look()).to.deep.include({ job: "relay" });
    await redis.hset(`${PREFIX}:${SCHEDULED_QUEUE}:meta`, "paused", 1);
    expect(await liveness.look(), "paused by an operator").to.equal(null);
    const away = connectRedis(server.url, "test", silent);
    await away.ping();
    const probing = new Liveness({ probe: away, intervals, standingMs: 0 });
    expect(await probing.look()).to.equal(null);
    await server.kill();
    expect(await probing.look()).to.equal(null);
    away.disconnect();
    await server.restart();
  });
});
