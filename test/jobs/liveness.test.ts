import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { type Logger, pino } from "pino";
import type { Finding } from "../../src/findings/findings-log.js";
import { Liveness, nextRestart, type Restarts } from "../../src/jobs/liveness.js";
import { MAINTENANCE_QUEUE, PREFIX, RUNS_KEY } from "../../src/jobs/queue.js";
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

  const startWorker = (logger: Logger = silent): Worker => {
    const started = new Worker({
      dataSource: database.dataSource,
      logger,
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
  const restarts = () =>
    database.dataSource.query("SELECT detail FROM recovery_findings WHERE kind = 'worker_standing'");

  it("connections that hang after a failover: started anew, told, counted, and the jobs run again", async () => {
    await expiresOne();
    expect(await restarts()).to.deep.equal([]);
    proxy.freeze();
    await expiresOne();
    await eventually(async () => (await restarts()).length > 0);
    expect(told.map(({ kind, action }) => [kind, action])).to.deep.include(["worker_standing", "restarted"]);
  });

  it("a run that lasts longer than any patience is left alone, and so are the jobs that wait behind it", async () => {
    await expiresOne();
    const count = async () => Number(await redis.hget(RUNS_KEY, "expiry"));
    const holder = database.dataSource.createQueryRunner();
    await holder.startTransaction();
    // The test's own pauses are no fault of a client.
    await holder.query("SET LOCAL idle_in_transaction_session_timeout = 0");
    await holder.query("LOCK TABLE checkout_sessions IN ACCESS EXCLUSIVE MODE");
    const before = await count();
    // Every 50 ms: two seconds and more, of which a quarter would be enough for a restart.
    await eventually(async () => (await count()) > before + 40);
    await holder.rollbackTransaction();
    await holder.release();
    expect(await restarts()).to.deep.equal([]);
    await expiresOne();
  });

  it("a schedule whose next run lies hours ahead, by a clock that was wrong: written from scratch", async () => {
    await expiresOne();
    await worker.stop();
    const queue = new Queue(MAINTENANCE_QUEUE, { connection: redis, prefix: PREFIX });
    await queue.removeJobScheduler("expiry");
    const startDate = Date.now() + 5 * 3_600_000;
    await queue.upsertJobScheduler("expiry", { every: 100, startDate }, { name: "expiry" });
    await queue.close();
    worker = startWorker();
    await expiresOne();
    await eventually(async () => (await restarts()).length > 0);
    expect((await restarts())[0].detail).to.include("nobody has run the job expiry");
  });

  it("a stop in the middle of a restart: nothing is started any more", async () => {
    await worker.stop();
    let stopped: Promise<void> | null = null;
    const write = (line: string) => {
      if (line.includes("starting them anew")) stopped ??= worker.stop();
    };
    worker = startWorker(pino({ level: "error" }, { write }));
    await expiresOne();
    const before = [...connections];
    proxy.freeze();
    await eventually(async () => stopped !== null);
    await stopped;
    expect(connections).to.deep.equal(before);
    expect(told).to.deep.equal([]);
  });

  it("restarts that follow each other have pauses that grow, up to ten minutes; a later one begins anew", () => {
    let restarts: Restarts | null = null;
    const pauses: number[] = [];
    for (let second = 0; pauses.length < 9; second++) {
      const next = nextRestart(restarts, second * 1_000, 15_000);
      if (next === null) continue;
      if (restarts !== null) pauses.push((next.lastAt - restarts.lastAt) / 1_000);
      restarts = next;
    }
    expect(pauses).to.deep.equal([15, 30, 60, 120, 240, 480, 600, 600, 600]);
    const later = (restarts?.lastAt ?? 0) + 31 * 60_000;
    expect(nextRestart(restarts, later, 15_000)).to.deep.equal({ count: 1, lastAt: later });
  });

  it("a paused queue has its whole time again after a resume", async () => {
    let now = 0;
    const liveness = new Liveness({ probe: redis, standingMs: 1_000, now: () => now });
    const watched = {
      scheduled: [{ job: "nightly", queue: "nights", every: 1_000 }],
      standsBecause: async () => null,
    };
    expect(await liveness.look(watched)).to.equal(null);
    await redis.hset(`${PREFIX}:nights:meta`, "paused", 1);
    for (now of [900, 1_800, 2_700]) expect(await liveness.look(watched), "paused").to.equal(null);
    await redis.hdel(`${PREFIX}:nights:meta`, "paused");
    now = 3_600;
    expect(await liveness.look(watched), "just resumed").to.equal(null);
    now = 3_701;
    expect(await liveness.look(watched)).to.match(/nobody has run the job nightly for 1 s/);
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
