import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { collectStatus } from "../../src/status/collect-status.js";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { onServer } from "../support/on-server.js";
import { endRoles, type RoleProcess, startRole, startScript } from "../support/role-process.js";
import { LIMITS } from "../support/status.js";
import { eventually, plainRedis } from "../support/stream.js";

const ROLES = ["ingest", "consume", "work", "api"] as const;

describe("what a role needs of its servers is asked at its start, and said", () => {
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

  const env = async (url = server.url) => ({
    DATABASE_URL: database.url,
    REDIS_URL: url,
    PORT: String(await freePort()),
  });
  /** A user of Redis that may do everything but this. */
  const userWithout = async (...rules: string[]): Promise<string> => {
    await redis.call("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", ...rules);
    const url = new URL(server.url);
    url.username = "limited";
    url.password = "pw";
    return url.href;
  };
  const refusal = (role: (typeof ROLES)[number], given: Record<string, string>): Promise<string> =>
    startRole(role, given).then(
      () => "it started",
      (error: unknown) => String(error),
    );
  const endsWell = async (role: RoleProcess) => {
    role.send("SIGTERM");
    return (await role.ended).code;
  };

  for (const role of ROLES) {
    it(`${role}: a Redis user without INFO is refused with Redis' own words, and the process ends`, async () => {
      const why = await refusal(role, await env(await userWithout("-info")));
      expect(why).to.include("ended with 2").and.to.include("INFO: NOPERM");
    });
  }

  for (const [role, rule, named] of [
    ["consume", "-xautoclaim", "XAUTOCLAIM"],
    ["ingest", "-xsetid", "XSETID"],
    ["work", "-bzpopmin", "BZPOPMIN"],
    ["api", "-eval", "EVAL"],
    ["ingest", "resetkeys", "SET: NOPERM"],
  ] as const) {
    it(`${role}: one right that is missing is named: ${rule}`, async () => {
      const why = await refusal(role, await env(await userWithout(rule)));
      expect(why).to.include("ended with 2").and.to.include(named).and.to.include("NOPERM");
    });
  }

  it("a policy that drops keys is said, and keeps no role from its work", async () => {
    await redis.config("SET", "maxmemory", "100mb");
    await redis.config("SET", "maxmemory-policy", "allkeys-lru");
    const role = await startRole("work", await env());
    expect(role.output()).to.include("its maxmemory-policy is allkeys-lru").and.to.include("noeviction");
    expect(await endsWell(role)).to.equal(0);
  });

  it("a Redis that answers and refuses writes is red with its own words, and so is a read-only Postgres", async () => {
    const sources = {
      dataSource: database.dataSource,
      redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
    } as const;
    expect((await collectStatus(sources)).problems).to.deep.equal([]);
    await redis.config("SET", "min-replicas-to-write", "1");
    const { problems, redis: there } = await collectStatus(sources);
    expect(there.reachable).to.equal(true);
    expect(problems.join()).to.include('Redis answers and takes no writes: "NOREPLICAS');
    await redis.config("SET", "min-replicas-to-write", "0");
    await database.setReadOnly(true);
    await eventually(async () => {
      const status = await collectStatus(sources);
      return status.problems
        .join()
        .includes('Postgres answers and takes no writes: "cannot execute SELECT FOR UPDATE');
    });
    await database.setReadOnly(false);
    await eventually(async () => (await collectStatus(sources)).healthy);
  });

  it("a role that starts on a Redis that refuses writes says so in its words, and works once it takes them", async () => {
    await redis.config("SET", "min-replicas-to-write", "1");
    const role = await startRole("consume", await env());
    expect(role.output()).to.include("NOREPLICAS");
    await redis.config("SET", "min-replicas-to-write", "0");
    expect(await endsWell(role)).to.equal(0);
  });

  it("a role waits for a Postgres that is read-only, and says so; without rights on its tables it ends", async () => {
    await database.setReadOnly(true);
    const starting = startRole("consume", await env());
    await database.setReadOnly(false);
    expect(await endsWell(await starting)).to.equal(0);

    const name = `reader_${process.pid}`;
    await onServer(
      database.url,
      `CREATE ROLE ${name} LOGIN PASSWORD 'pw'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${name}`,
    );
    try {
      const url = new URL(database.url);
      url.username = name;
      url.password = "pw";
      const why = await refusal("consume", { ...(await env()), DATABASE_URL: url.href });
      expect(why).to.include("ended with 2").and.to.include(`user ${name} may not read and write`);
    } finally {
      await onServer(database.url, `DROP OWNED BY ${name}; DROP ROLE ${name}`);
    }
  });

  it("SIGTERM ends `work` within its bound although its user loses INFO while it runs", async () => {
    const role = await startRole("work", await env(await userWithout()));
    await redis.call("ACL", "SETUSER", "limited", "-info");
    await redis.call("CLIENT", "KILL", "USER", "limited");
    await eventually(async () => /NOPERM/.test(role.output()));
    role.send("SIGTERM");
    await role.ended;
  });

  it("a process whose event loop stands ends, since it would hear no signal", async () => {
    const script = join(tmpdir(), `paidonce-spin-${process.pid}.mjs`);
    const runRole = new URL("../../src/cli/run-role.js", import.meta.url).href;
    await writeFile(
      script,
      `import { runRole } from ${JSON.stringify(runRole)};
       const logger = { info() {}, warn() {}, error() {} };
       const spin = () => { const again = () => Promise.reject(new Error()).catch(again); void again(); };
       process.on("SIGUSR2", spin);
       await runRole(logger, { start() {}, async stop() {} });`,
    );
    const role = await startScript(script, "spin", {});
    role.send("SIGUSR2");
    role.send("SIGTERM");
    expect((await role.ended).signal).to.equal("SIGKILL");
    expect(role.output()).to.include("the event loop has stood");
  });
});
