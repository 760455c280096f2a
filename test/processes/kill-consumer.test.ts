import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import type { RedisClient } from "../../src/redis/client.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { GROUP, streamKey } from "../../src/stream/stream-keys.js";
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
import { endRoles, startRole } from "../support/role-process.js";
import { append, drained, startConsumer, type TestConsumer } from "../support/stream.js";

/** What a consumer that dies at each point leaves behind. */
const LEFT: Record<
  Exclude<Checkpoint, `ingest.${string}` | `webhook.${string}` | `charge.${string}` | `submission.${string}`>,
  { committed: boolean; acknowledged: boolean }
> = {
  "consumer.after-read": { committed: false, acknowledged: false },
  "consumer.after-lock": { committed: false, acknowledged: false },
  "settlement.after-session-lock": { committed: false, acknowledged: false },
  "settlement.after-write": { committed: false, acknowledged: false },
  "transaction.before-commit": { committed: false, acknowledged: false },
  "consumer.after-commit": { committed: true, acknowledged: false },
  "consumer.after-release": { committed: true, acknowledged: false },
  "consumer.after-acknowledge": { committed: true, acknowledged: true },
};

for (const mode of PROCESS_LOCKS) {
  describe(`kill -9 of a consumer process, LOCKS=${mode}`, () => {
    let server: TestRedis;
    let redis: RedisClient;
    let database: TestDatabase;
    let healthy: TestConsumer | undefined;

    before(async () => {
      server = await openTestRedis();
      redis = server.client;
    });
    beforeEach(async () => {
      [database] = await Promise.all([createTestDatabase(), server.flush()]);
    });
    afterEach(async () => {
      await endRoles();
      await healthy?.stop();
      healthy = undefined;
      await database.close();
    });
    after(async () => {
      await server.stop();
    });

    const pendingOf = async (account: AccountId) =>
      ((await redis.xpending(streamKey(account), GROUP)) as [number])[0];

    for (const [point, left] of Object.entries(LEFT)) {
      it(`G4: at ${point}: the next consumer settles all of it once`, async () => {
        const owner = await watchAccount(database.dataSource);
        const sessions = await openSessions(
          database.dataSource,
          ...Array.from({ length: 5 }, () => aSession(owner)),
        );
        const credits = sessions.map((session) => creditFor(session));
        // A second payment of the first session, in the same batch.
        for (const session of sessions.slice(0, 1)) credits.push(creditFor(session));
        const env = { DATABASE_URL: database.url, ...server.env, LOCKS: mode };

        const victim = await startRole("consume", { ...env, PAIDONCE_CRASH_AT: point });
        await append(redis, credits);
        expect(await victim.ended).to.deep.equal({ code: null, signal: "SIGKILL" });

        const found = await readBooks(database.dataSource);
        expect(found.credits).to.have.length(left.committed ? credits.length : 0);
        expect(findContradictions(found)).to.deep.equal([]);
        expect(await pendingOf(owner.account)).to.equal(left.acknowledged ? 0 : credits.length);

        healthy = startConsumer(server.target, database.dataSource, { mode });
        await drained(redis, owner.account);

        const books = await readBooks(database.dataSource);
        expect(findContradictions(books)).to.deep.equal([]);
        expect(books.payments).to.have.length(sessions.length);
        expect(books.exceptions.map((row) => row.reason)).to.deep.equal(["duplicate"]);
        if (left.committed) expect(books).to.deep.equal(found);
      });
    }
  });
}
