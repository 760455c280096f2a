import { expect } from "chai";
import type { Redis } from "ioredis";
import { readBudget } from "../../src/budget/budget.js";
import { readHeartbeats } from "../../src/status/heartbeat.js";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { endRoles, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { append, drained, eventually, plainRedis } from "../support/stream.js";

describe("a role's own metrics", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
  });
  afterEach(async () => {
    await endRoles();
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const servers = () => ({ DATABASE_URL: database.url, REDIS_URL: server.url });

  it("count what a consumer settled, by outcome, and how long it took", async () => {
    const port = await freePort();
    const role = await startRole("consume", { ...servers(), METRICS_PORT: String(port) });
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(
      database.dataSource,
      aSession(owner, { expiresAt: new Date(Date.now() + 60_000) }),
    );
    if (session === undefined) throw new Error("no session");
    const closedAt = new Date(Date.now() - 20_000);
    await append(redis, [creditFor(session, { closedAt }), creditFor(session, { closedAt })]);
    await drained(redis, owner.account);
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    const text = await answer.text();
    expect(answer.headers.get("content-type")).to.match(/^text\/plain/);
    expect(text).to.include('paidonce_credits_settled_total{outcome="payment"} 1\n');
    expect(text).to.include('paidonce_credits_settled_total{outcome="duplicate"} 1\n');
    expect(text).to.include("paidonce_settlement_seconds_count 2\n");
    // Twenty seconds ago: in none of the buckets below, in all from ten minutes up.
    expect(text).to.include('paidonce_settlement_seconds_bucket{le="15"} 0\n');
    expect(text).to.include('paidonce_settlement_seconds_bucket{le="600"} 2\n');
    expect(text).to.match(/paidonce_batch_entries_count [12]\n/);
    expect(text).to.match(/paidonce_lock_wait_seconds_count\{result="acquired"\} [12]\n/);
    expect(text).to.include("paidonce_conflicts_retried_total 0\n");
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).to.equal(404);

    await eventually(async () => {
      const [beat] = await readHeartbeats(redis);
      return Number(beat?.figures.locks_acquired) > 0;
    });
    expect((await readHeartbeats(redis))[0]).to.deep.include({ role: "consume", pid: role.pid, alive: true });
    role.send("SIGTERM");
    expect(await role.ended).to.deep.equal({ code: 0, signal: null });
    expect(await readHeartbeats(redis)).to.deep.equal([]);
  });

  it("tell how far ingest is behind the network, and its heartbeat tells it to the others", async () => {
    await using spine = await Spine.open("off");
    const port = await freePort();
    const role = await startRole("ingest", {
      DATABASE_URL: spine.database.url,
      ...spine.server.env,
      HORIZON_URL: spine.stage.sandbox.url,
      METRICS_PORT: String(port),
    });
    const { account } = spine.owner;
    await eventually(async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return text.includes(`paidonce_ingest_lag_ledgers{account="${account}"} 0\n`);
    });
    const newest = String(spine.stage.network.latest.sequence);
    await eventually(async () => (await readHeartbeats(spine.redis))[0]?.figures.newest_ledger === newest);
    expect((await readHeartbeats(spine.redis))[0]?.figures).to.deep.include({
      newest_ledger: newest,
      cursor: newest,
      accounts_led: "1",
    });
    role.send("SIGTERM");
    expect((await role.ended).code).to.equal(0);
  });

  it("say that ingest asks for the feed alone: what waits behind checks would hold up every account", async () => {
    await using spine = await Spine.open("off");
    const { url } = spine.stage.sandbox;
    await startRole("ingest", {
      DATABASE_URL: spine.database.url,
      ...spine.server.env,
      HORIZON_URL: url,
      HORIZON_REQUESTS_PER_HOUR: "36000",
    });
    await eventually(async () => {
      spine.stage.network.closeLedger();
      return (await readBudget(spine.redis, url, 36_000)).usedLastHour > 10;
    });
    const { used } = await readBudget(spine.redis, url, 36_000);
    expect(used).to.deep.include({ submission: 0, check: 0, audit: 0 });
  });

  it("are off by default, and a port that is taken keeps no role from its work", async () => {
    const port = await freePort();
    const first = await startRole("consume", { ...servers(), METRICS_PORT: String(port) });
    const second = await startRole("consume", { ...servers(), METRICS_PORT: String(port) });
    expect(second.output()).to.include("going on without");
    expect(first.output()).not.to.include("going on without");
    await eventually(async () => (await readHeartbeats(redis)).length === 2);
    for (const role of [first, second]) role.send("SIGTERM");
    for (const role of [first, second]) expect((await role.ended).code).to.equal(0);
  });
});
