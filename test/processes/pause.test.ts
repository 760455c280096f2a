import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import type { RedisClient } from "../../src/redis/client.js";
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
import { endRoles, isPaused, startRole } from "../support/role-process.js";
import { append, drained, eventually } from "../support/stream.js";

/** In the middle of a transaction, and on both sides of it. */
const POINTS: readonly Checkpoint[] = [
  "consumer.after-lock",
  "settlement.after-write",
  "transaction.before-commit",
  "consumer.after-commit",
];

for (const mode of PROCESS_LOCKS) {
  describe(`consumer processes paused past every time-out, LOCKS=${mode}`, () => {
    let server: TestRedis;
    let redis: RedisClient;
    let database: TestDatabase;

    beforeEach(async () => {
      [database, server] = await Promise.all([createTestDatabase(), openTestRedis()]);
      redis = server.client;
    });
    afterEach(async () => {
      await endRoles();
      await server.stop();
      await database.close();
    });

    it("G2, G4: another consumer settles what they held; they wake and add nothing", async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: 5 * (POINTS.length + 1) }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      const env = { DATABASE_URL: database.url, ...server.env, LOCKS: mode };
      const sleepers = await Promise.all(
        POINTS.map((point) => startRole("consume", { ...env, PAIDONCE_STOP_AT: point })),
      );
      const paused = async () => {
        const states = await Promise.all(sleepers.map(({ pid }) => isPaused(pid)));
        return states.filter((isStopped) => isStopped).length;
      };
      // Each batch goes to a consumer that is paused with it in its hands (or with what it claimed of an earlier one).
      for (const [index] of POINTS.entries()) {
        await append(redis, credits.slice(5 * index, 5 * (index + 1)));
        await eventually(async () => (await paused()) > index);
      }

      // All that they held has run out when this one has settled: leases, locked rows, idle time in Redis.
      await startRole("consume", env);
      await drained(redis, owner.account);
      const settled = await readBooks(database.dataSource);
      expect(settled.payments).to.have.length(5 * POINTS.length);

      for (const sleeper of sleepers) sleeper.send("SIGCONT");
      await append(redis, credits.slice(5 * POINTS.length));
      await drained(redis, owner.account);
      // A clean end means that they have finished what they were in the middle of.
      for (const sleeper of sleepers) sleeper.send("SIGTERM");
      for (const sleeper of sleepers) {
        expect(await sleeper.ended).to.deep.equal({ code: 0, signal: null });
      }

      const books = await readBooks(database.dataSource);
      expect(findContradictions(books)).to.deep.equal([]);
      expect(books.payments).to.have.length(credits.length);
      expect(books.exceptions).to.deep.equal([]);
      expect(books.payments.slice(0, settled.payments.length)).to.deep.equal(settled.payments);
    });
  });
}
