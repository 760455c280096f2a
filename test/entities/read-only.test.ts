import { expect } from "chai";
import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import { assertWritable } from "../../src/postgres/serializable.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { startApi, type TestApi } from "../support/api.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import { connect, createTestDatabase, migratedDatabase, type TestDatabase } from "../support/database.js";
import { onServer } from "../support/on-server.js";
import { eventually } from "../support/stream.js";

describe("src/postgres/strict-client.ts and data-source.ts: a connection that is read-only", () => {
  let database: TestDatabase;
  let redis: RedisServer;
  const open: (DataSource | TestApi)[] = [];

  beforeEach(async () => {
    [database, redis] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await ("stop" in one ? one.stop() : one.destroy());
    await redis.stop();
    await database.close();
  });

  const write = (dataSource: DataSource) =>
    dataSource.query("INSERT INTO merchants (id, name) VALUES (gen_random_uuid(), 'x')");
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => "written",
      (error: { driverError?: { code?: string }; code?: string }) => error.driverError?.code ?? error.code,
    );

  it("that came up while the database took no writes leaves the pool with its first refusal", async () => {
    await database.setReadOnly(true);
    const pool = await connect(database.url);
    open.push(pool);
    expect(await codeOf(write(pool))).to.equal("25006");
    // The connections that are there are left as they are: nobody ends them from outside.
    const name = new URL(database.url).pathname.slice(1);
    const other = new URL(database.url);
    other.pathname = "/postgres";
    await onServer(other.href, `ALTER DATABASE ${name} SET default_transaction_read_only = off`);
    // Those that are in the pool still are read-only, at the most one refusal each.
    const answers = [await codeOf(write(pool)), await codeOf(write(pool)), await codeOf(write(pool))];
    expect(answers.at(-1)).to.equal("written");
  });

  it("leaves the pool after a transaction too, which has said so itself", async () => {
    await database.setReadOnly(true);
    const pool = await connect(database.url);
    open.push(pool);
    const inTransaction = () =>
      codeOf(
        pool.transaction((manager) =>
          manager.query("INSERT INTO merchants (id, name) VALUES (gen_random_uuid(), 'x')"),
        ),
      );
    expect(await inTransaction()).to.equal("25006");
    await database.setReadOnly(false);
    await eventually(async () => (await inTransaction()) === "written");
  });

  it("is no writable primary: /readyz says 503 with why, and 200 as soon as writes are taken", async () => {
    const api = await startApi(database.dataSource, redis.url);
    open.push(api);
    expect((await fetch(`${api.url}/readyz`)).status).to.equal(200);
    await database.setReadOnly(true);
    await eventually(async () => (await fetch(`${api.url}/readyz`)).status === 503);
    await eventually(async () => {
      const body = (await (await fetch(`${api.url}/readyz`)).json()) as { postgres: unknown };
      return JSON.stringify(body.postgres) === '{"reachable":true,"migrated":true,"writable":false}';
    });
    await database.setReadOnly(false);
    await eventually(async () => (await fetch(`${api.url}/readyz`)).status === 200);
  });

  it("lives so long and no longer, whatever its server has become", () => {
    const { extra } = createDataSource({ url: database.url, applicationName: "test" }).options as {
      extra: { maxLifetimeSeconds: number };
    };
    expect(extra.maxLifetimeSeconds).to.be.greaterThan(0).and.at.most(3_600);
  });

  it("of a real standby is refused and ended, and the same pool writes once that standby is promoted", async () => {
    await using pair = await PostgresPair.start({ synchronous: false });
    const primary = await migratedDatabase(pair.primaryUrl);
    await primary.close();
    await eventually(async () => {
      const rows = await pair.onStandby("SELECT to_regclass('merchants') AS there").catch(() => []);
      return rows[0]?.there === "merchants";
    });
    const pool = await connect(pair.standby.url);
    open.push(pool);
    expect(await codeOf(assertWritable(pool))).to.equal("25006");
    await pair.failOver();
    await eventually(async () => (await codeOf(write(pool))) === "written");
    await pool.destroy();
    open.splice(open.indexOf(pool), 1);
  });
});
