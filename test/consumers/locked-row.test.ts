import { expect } from "chai";
import type { Redis } from "ioredis";
import pg from "pg";
import { createDataSource } from "../../src/entities/data-source.js";
import { collectStatus } from "../../src/status/collect-status.js";
import { startHeartbeat } from "../../src/status/heartbeat.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { LIMITS } from "../support/status.js";
import {
  append,
  drained,
  eventually,
  plainRedis,
  silent,
  startConsumer,
  type TestConsumer,
} from "../support/stream.js";

describe("src/consumers/settle-around-locks.ts: a row that somebody keeps locked", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let psql: pg.Client;
  let consumers: TestConsumer[];
  let owner: Awaited<ReturnType<typeof watchAccount>>;
  let impatient: ReturnType<typeof createDataSource>;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    owner = await watchAccount(database.dataSource);
    psql = new pg.Client({ connectionString: database.url, application_name: "psql" });
    await psql.connect();
    consumers = [];
    impatient = await createDataSource({
      url: database.url,
      applicationName: "paidonce-consume",
      statementTimeoutMs: 400,
    }).initialize();
  });
  afterEach(async () => {
    await psql.end();
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await impatient.destroy();
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const consume = (count = 1): TestConsumer[] => {
    for (let i = 0; i < count; i++)
      consumers.push(startConsumer(server.url, impatient, { claimIdleMs: 60_000 }));
    return consumers;
  };
  const sessions = (count: number) =>
    openSessions(database.dataSource, ...Array.from({ length: count }, () => aSession(owner)));
  const lock = async (sql: string, ...values: unknown[]): Promise<number> => {
    await psql.query("BEGIN");
    await psql.query(sql, values);
    const { rows } = await psql.query("SELECT pg_backend_pid() AS pid");
    return rows[0].pid;
  };
  const settled = async () => (await readBooks(database.dataSource)).credits.length;
  const LOCK = "SELECT FROM checkout_sessions WHERE id = $1 FOR UPDATE";

  it("holds up the credits of its session alone, in their order, and is named with the pid that holds it", async () => {
    const [locked, ...others] = await sessions(41);
    if (locked === undefined) throw new Error("no session");
    const pid = await lock(LOCK, locked.id);
    const first = creditFor(locked);
    const between = others.slice(0, 20).map((one) => creditFor(one));
    const second = creditFor(locked);
    await append(redis, [first, ...between, second]);
    const [consumer] = consume();
    await eventually(async () => (await settled()) === 20);
    // Whoever comes later is not held up either, nor do more of the same session get past.
    const third = creditFor(locked);
    await append(redis, [third, ...others.slice(20).map((one) => creditFor(one))]);
    await eventually(async () => (await settled()) === 40);
    await eventually(async () => Number(consumer?.consumer.figures().blocked) === 3);
    await eventually(async () =>
      String(consumer?.consumer.figures().blocked_by).includes(`pid ${pid} (psql`),
    );
    expect(consumer?.consumer.figures()).to.include({
      blocked_session: locked.id,
      blocked_account: owner.account,
    });
    await psql.query("ROLLBACK");
    await drained(redis, owner.account);
    const books = await readBooks(database.dataSource);
    expect(books.payments).to.have.length(41);
    expect(books.payments.find((row) => row.session_id === locked.id)?.key).to.equal(
      `${first.operationId}-0`,
    );
    expect(books.exceptions.map(({ key, reason }) => [key, reason])).to.deep.equal([
      [`${second.operationId}-0`, "duplicate"],
      [`${third.operationId}-0`, "duplicate"],
    ]);
    expect(findContradictions(books)).to.deep.equal([]);
    expect(consumer?.consumer.figures()).to.deep.equal({});
  });

  it("is no lock of several rows at once: each of them waits, whoever holds it, and several replicas too", async () => {
    const all = await sessions(60);
    const locked = all.slice(0, 7);
    await lock(
      "SELECT FROM checkout_sessions WHERE id = ANY ($1) FOR UPDATE",
      locked.map(({ id }) => id),
    );
    await append(
      redis,
      all.map((one) => creditFor(one)),
    );
    consume(2);
    await eventually(async () => (await settled()) === 53);
    await psql.query("COMMIT");
    await drained(redis, owner.account);
    expect((await readBooks(database.dataSource)).payments).to.have.length(60);
  });

  it("of something else than a session is found by halving, and its credit is tried by itself", async () => {
    const all = await sessions(9);
    const [blocked] = all;
    if (blocked === undefined) throw new Error("no session");
    const credits = all.map((one) => creditFor(one));
    // Whoever has inserted the same credit, and not committed, holds up whoever inserts it too.
    const columns =
      "operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record";
    await lock(
      `INSERT INTO credits (${columns}) VALUES ($1, 0, 'exception', $2, repeat('a', 64), 'native', 10, now(), '{}')`,
      credits[0]?.operationId.toString(),
      owner.account,
    );
    await append(redis, credits);
    const [consumer] = consume();
    await eventually(async () => (await settled()) === 8);
    await eventually(async () => Number(consumer?.consumer.figures().blocked) === 1);
    await psql.query("ROLLBACK");
    await drained(redis, owner.account);
    expect((await readBooks(database.dataSource)).payments).to.have.length(9);
  });

  it("of a whole table is an outage: nothing is settled, nothing is lost", async () => {
    const all = await sessions(30);
    await lock("LOCK TABLE payments IN EXCLUSIVE MODE");
    await append(
      redis,
      all.map((one) => creditFor(one)),
    );
    consume();
    await eventually(async () => {
      const pending = await redis.xpending(streamKey(owner.account), "settlement").catch(() => []);
      return pending[0] === 30;
    });
    await psql.query("ROLLBACK");
    await drained(redis, owner.account);
    expect((await readBooks(database.dataSource)).payments).to.have.length(30);
  });

  it("is in the status with what to do, instead of the advice to add replicas", async () => {
    const beat = startHeartbeat({
      redis,
      role: "consume",
      name: "one",
      logger: silent,
      figures: () => ({
        blocked: 2,
        blocked_seconds: 61,
        blocked_account: owner.account,
        blocked_session: "0198",
        blocked_by: "pid 4711 (psql, idle in transaction, its transaction is 99 s old)",
      }),
    });
    const [session] = await sessions(1);
    if (session === undefined) throw new Error("no session");
    await append(redis, [creditFor(session, { closedAt: new Date(Date.now() - 3_600_000) })]);
    await redis.xgroup("CREATE", streamKey(owner.account), "settlement", "0");
    await redis.xreadgroup("GROUP", "settlement", "one", "STREAMS", streamKey(owner.account), ">");
    const sources = {
      dataSource: database.dataSource,
      redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
    } as const;
    await eventually(async () => (await collectStatus(sources)).roles?.length === 1);
    const { problems } = await collectStatus(sources);
    await beat.stop();
    const text = problems.join("\n");
    expect(text).to.include("2 credits wait for a row that somebody keeps locked");
    expect(text).to.include("held by Postgres pid 4711 (psql, idle in transaction");
    expect(text).to.not.include("replicas");
  });
});
