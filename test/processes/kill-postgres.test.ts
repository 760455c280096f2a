import { expect } from "chai";
import type { Redis } from "ioredis";
import type { PostgresServer } from "../../stage/machine/postgres.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { startTestPostgres } from "../support/backends/postgres.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { connect } from "../support/database.js";
import { useTestKey } from "../support/entry-key.js";
import { isLong, PROCESS_LOCKS } from "../support/long.js";
import { endRoles, startRole } from "../support/role-process.js";
import { append, drained, eventually, plainRedis } from "../support/stream.js";

const ROUNDS = isLong ? 3 : 2;
const PER_ROUND = 300;

for (const mode of PROCESS_LOCKS) {
  describe(`kill -9 of Postgres under load, LOCKS=${mode}`, () => {
    let postgres: PostgresServer;
    let server: RedisServer;
    let redis: Redis;

    beforeEach(async () => {
      // Durable, as in production: what it said is committed must be there after the crash.
      [postgres, server] = await Promise.all([startTestPostgres(), startRedis({ appendonly: false })]);
      redis = plainRedis(server.url);
    });
    afterEach(async () => {
      await endRoles();
      redis.disconnect();
      await Promise.all([server.stop(), postgres.stop()]);
    });

    it("G1, G2, G4: consumers come back by themselves; what was committed is not repeated, the rest is settled", async () => {
      const dataSource = await connect(postgres.url);
      await dataSource.runMigrations();
      await useTestKey(dataSource);
      const owner = await watchAccount(dataSource);
      const sessions = await openSessions(
        dataSource,
        ...Array.from({ length: ROUNDS * PER_ROUND }, () => aSession(owner)),
      );
      const env = { DATABASE_URL: postgres.url, REDIS_URL: server.url, LOCKS: mode, CONSUMER_BATCH: "10" };
      const consumers = await Promise.all([1, 2, 3].map(() => startRole("consume", env)));

      for (let round = 0; round < ROUNDS; round++) {
        const due = sessions.slice(round * PER_ROUND, (round + 1) * PER_ROUND);
        await append(
          redis,
          due.map((session) => creditFor(session)),
        );
        const settled = await readBooks(dataSource);
        await eventually(async () => (await readBooks(dataSource)).payments.length > settled.payments.length);
        await postgres.kill();
        await postgres.restart();
        const after = await readBooks(dataSource);
        expect(findContradictions(after)).to.deep.equal([]);
        expect(after.credits).to.include.members(settled.credits);
      }
      await drained(redis, owner.account);

      const books = await readBooks(dataSource);
      expect(findContradictions(books)).to.deep.equal([]);
      expect(books.payments).to.have.length(sessions.length);
      expect(books.exceptions).to.deep.equal([]);
      for (const consumer of consumers) consumer.send("SIGTERM");
      for (const consumer of consumers) {
        expect(await consumer.ended, consumer.output()).to.deep.equal({ code: 0, signal: null });
      }
      await dataSource.destroy();
    });
  });
}
