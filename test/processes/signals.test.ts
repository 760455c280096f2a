import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { RedisClient } from "../../src/redis/client.js";
import { readPosition } from "../../src/stream/append-entries.js";
import { ensureGroup } from "../../src/stream/consumer-group.js";
import { GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { untilGone } from "../machine/supervise.js";
import { openTestRedis, type TestRedis } from "../support/backends/redis.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { PROCESS_LOCKS } from "../support/long.js";
import { endRoles, type RoleEnvironment, roleEnvironment, startRole } from "../support/role-process.js";
import { append, drained, eventually } from "../support/stream.js";

const PARENT = fileURLToPath(new URL("../support/role-parent.js", import.meta.url));

describe("role processes end as they are told", () => {
  let server: TestRedis;
  let redis: RedisClient;
  let database: TestDatabase;
  let env: RoleEnvironment;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), openTestRedis()]);
    redis = server.client;
    env = { DATABASE_URL: database.url, ...server.env };
  });
  afterEach(async () => {
    await endRoles();
    await server.stop();
    await database.close();
  });

  for (const mode of PROCESS_LOCKS) {
    it(`G4: SIGTERM under load, LOCKS=${mode}: exit code 0, no name and nothing pending left`, async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 400 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      const load = { ...env, LOCKS: mode, CONSUMER_BATCH: "5" };
      const consumers = await Promise.all([startRole("consume", load), startRole("consume", load)]);
      await append(redis, credits);
      await eventually(async () => (await readBooks(database.dataSource)).payments.length > 0);
      for (const consumer of consumers) consumer.send("SIGTERM");
      for (const consumer of consumers) {
        expect(await consumer.ended).to.deep.equal({ code: 0, signal: null });
      }

      expect(await redis.xinfo("CONSUMERS", streamKey(owner.account), GROUP)).to.deep.equal([]);
      expect(((await redis.xpending(streamKey(owner.account), GROUP)) as [number])[0]).to.equal(0);
      const books = await readBooks(database.dataSource);
      expect(findContradictions(books)).to.deep.equal([]);
      const left = await redis.xlen(streamKey(owner.account));
      expect(books.payments.length + left).to.equal(credits.length);

      await startRole("consume", env);
      await drained(redis, owner.account);
      expect((await readBooks(database.dataSource)).payments).to.have.length(credits.length);
    });
  }

  it("G4: a second SIGTERM ends a consumer at once, in the middle of its batch; nothing is lost", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    // A long lease makes for a long statement time-out: the batch stays stuck on the locked row.
    const consumer = await startRole("consume", { ...env, LOCK_LEASE_MS: "60000", LOG_LEVEL: "info" });
    await ensureGroup(redis, owner.account);
    const blocker = database.dataSource.createQueryRunner();
    await blocker.startTransaction();
    try {
      await blocker.query("SELECT 1 FROM checkout_sessions WHERE id = $1 FOR UPDATE", [session.id]);
      await append(redis, [creditFor(session)]);
      await eventually(
        async () => ((await redis.xpending(streamKey(owner.account), GROUP)) as [number])[0] === 1,
      );
      consumer.send("SIGTERM");
      await eventually(async () => consumer.output().includes('"msg":"stopping"'));
      consumer.send("SIGTERM");
      expect(await consumer.ended).to.deep.equal({ code: 1, signal: null });
    } finally {
      await blocker.rollbackTransaction();
      await blocker.release();
    }
    expect((await readBooks(database.dataSource)).credits).to.deep.equal([]);
    expect((await readPosition(redis, owner.account)).oldest).to.not.equal(null);

    await startRole("consume", { ...env, LOCKS: "off" });
    await drained(redis, owner.account);
    const books = await readBooks(database.dataSource);
    expect(books.payments).to.have.length(1);
    expect(findContradictions(books)).to.deep.equal([]);
  });

  for (const command of ["consume", "ingest"]) {
    it(`${command} ends by itself when its parent is killed`, async () => {
      const parent = spawn(process.execPath, [PARENT, command], {
        env: roleEnvironment(env),
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(parent, "exit");
      const [line] = await Promise.race([
        once(createInterface(parent.stdout), "line"),
        ended.then(() => {
          throw new Error("the parent ended before its role was ready");
        }),
      ]);
      const pid = Number(line);
      try {
        parent.kill("SIGKILL");
        await ended;
        await untilGone(pid);
      } finally {
        // Gone already, unless the test fails.
        try {
          process.kill(pid, "SIGKILL");
        } catch {}
      }
    });
  }
});
