import { expect } from "chai";
import type { Redis } from "ioredis";
import { createDataSource } from "../../src/entities/data-source.js";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aSession, creditFor, openSessions, readBooks, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { type Pooler, startPgBouncer } from "../support/pgbouncer.js";
import { endRoles, startRole } from "../support/role-process.js";
import { append, drained, plainRedis } from "../support/stream.js";

const ROLES = ["ingest", "consume", "work", "api"] as const;

describe("behind PgBouncer", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let pooler: Pooler | null;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    pooler = null;
  });
  afterEach(async () => {
    await endRoles();
    await pooler?.[Symbol.asyncDispose]();
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  /** @returns the database's URL through the pooler; skips the test, and says so, where there is no pgbouncer */
  async function pooled(
    test: Mocha.Context,
    mode: Parameters<typeof startPgBouncer>[1],
    settings?: Record<string, string>,
  ): Promise<string> {
    pooler = await startPgBouncer(database.url, mode, settings);
    if (pooler === null) {
      process.stderr.write("      no pgbouncer here: apt-get install --no-install-recommends pgbouncer\n");
      test.skip();
    }
    return pooler.through(database.url);
  }
  const env = async (url: string) => ({
    DATABASE_URL: url,
    REDIS_URL: server.url,
    PORT: String(await freePort()),
  });

  it("sessions that are kept keep the limits, and nobody else gets them afterwards", async function () {
    const url = await pooled(this, "session", { default_pool_size: "1" });
    const open = async (statementTimeoutMs: number) =>
      createDataSource({ url, applicationName: "test", poolSize: 1, statementTimeoutMs }).initialize();
    const first = await open(300);
    const error = await first.query("SELECT pg_sleep(20)").catch((thrown: unknown) => thrown);
    expect(String(error)).to.include("statement timeout");
    expect(await first.query("SHOW statement_timeout")).to.deep.equal([{ statement_timeout: "300ms" }]);
    await first.destroy();
    // The same session of the server, handed to the next one.
    const second = await open(700);
    expect(await second.query("SHOW statement_timeout")).to.deep.equal([{ statement_timeout: "700ms" }]);
    expect(await second.query("SHOW idle_in_transaction_session_timeout")).to.deep.equal([
      { idle_in_transaction_session_timeout: "700ms" },
    ]);
    await second.destroy();
  });

  it("every role starts, and a consumer settles through it", async function () {
    const url = await pooled(this, "session");
    const roles = await Promise.all(ROLES.map(async (role) => startRole(role, await env(url))));
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    await append(redis, [creditFor(session)]);
    await drained(redis, owner.account);
    expect((await readBooks(database.dataSource)).payments).to.have.length(1);
    for (const role of roles) role.send("SIGTERM");
    for (const role of roles) expect((await role.ended).code).to.equal(0);
  });

  for (const mode of ["transaction", "statement"] as const) {
    for (const role of ROLES) {
      it(`${role} refuses a pooler that shares sessions (pool_mode=${mode}): the limits would not be there`, async function () {
        const url = await pooled(this, mode, {
          ignore_startup_parameters:
            "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,options",
        });
        const why = await startRole(role, await env(url)).then(
          () => "it started",
          (error: unknown) => String(error),
        );
        expect(why).to.include("ended with 2").and.to.include("DATABASE_URL: ").and.to.include("pool");
      });
    }
  }
});
