import { expect } from "chai";
import type { RedisClient } from "../../src/redis/client.js";
import { type AccountId, type Credit, compareKeys } from "../../src/stellar/credit.js";
import { encodeEntry, entryId } from "../../src/stream/entry.js";
import { signEntry } from "../../src/stream/entry-mac.js";
import { GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { seeded } from "../../stage/server/dice.js";
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
import { TEST_KEY } from "../support/entry-key.js";
import { PROCESS_LOCKS } from "../support/long.js";
import { endRoles, startRole } from "../support/role-process.js";
import { drained } from "../support/stream.js";

/** Printed in the suite's name, so that a failure can be repeated. */
const SEED = 20_261_101;
const COPIES = 1_000;
const OTHERS = 40;

/**
 * KEYS[1] stream, ARGV: group, then per entry its id, number of texts, and those. Once every entry of the
 * stream was handed to some consumer, replaces the stream by one with these entries: Redis takes the same ids
 * again only in a new stream. What was handed out before is still being settled meanwhile.
 */
const DELIVER_AGAIN = `
  if redis.call('EXISTS', KEYS[1]) == 1 then
    local delivered = '0-0'
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
      for i = 1, #group, 2 do if group[i] == 'last-delivered-id' then delivered = group[i + 1] end end
    end
    if #redis.call('XRANGE', KEYS[1], '(' .. delivered, '+', 'COUNT', 1) > 0 then return 0 end
  end
  redis.call('DEL', KEYS[1])
  local i = 2
  while i <= #ARGV do
    local fields = tonumber(ARGV[i + 1])
    redis.call('XADD', KEYS[1], ARGV[i], unpack(ARGV, i + 2, i + 1 + fields))
    i = i + 2 + fields
  end
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0')
  return 1`;

for (const mode of PROCESS_LOCKS) {
  describe(`redelivery to four consumer processes, LOCKS=${mode}, seed ${SEED}`, () => {
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

    it(`G1, G2: one event ${COPIES} times, in random order among others: one row each`, async () => {
      const owner = await watchAccount(database.dataSource);
      const sessions = await openSessions(
        database.dataSource,
        ...Array.from({ length: OTHERS + 1 }, () => aSession(owner)),
      );
      const credits = sessions.map((session) => creditFor(session));
      const hot = credits[OTHERS / 2];
      if (hot === undefined) throw new Error("no credit");
      const others = credits.filter((credit) => credit !== hot);
      const copies = shuffled([...Array<Credit>(COPIES).fill(hot), ...Array(10).fill(others).flat()]);
      const env = { DATABASE_URL: database.url, ...server.env, LOCKS: mode };
      await Promise.all(Array.from({ length: 4 }, () => startRole("consume", env)));

      for (const run of ascendingRuns(copies)) await deliver(redis, owner.account, run);
      await drained(redis, owner.account);

      const books = await readBooks(database.dataSource);
      expect(books.credits).to.deep.equal(credits.map(entryId));
      expect(books.payments).to.have.length(credits.length);
      expect(findContradictions(books)).to.deep.equal([]);
    });
  });
}

async function deliver(redis: RedisClient, account: AccountId, credits: readonly Credit[]): Promise<void> {
  const args = credits.flatMap((credit) => {
    const fields = signEntry(TEST_KEY, account, entryId(credit), encodeEntry(credit));
    return [entryId(credit), fields.length, ...fields];
  });
  while ((await redis.eval(DELIVER_AGAIN, 1, streamKey(account), GROUP, ...args)) !== 1);
}

/** A stream's ids must ascend: cuts the order into the longest pieces that do. */
function ascendingRuns(credits: readonly Credit[]): Credit[][] {
  const runs: Credit[][] = [];
  let run: Credit[] = [];
  for (const credit of credits) {
    const last = run.at(-1);
    if (last === undefined || compareKeys(last, credit) >= 0) {
      run = [];
      runs.push(run);
    }
    run.push(credit);
  }
  return runs;
}

/** In an order that is the same for the same seed. */
function shuffled<T>(items: readonly T[]): T[] {
  const random = seeded(SEED);
  const order = items.map((item) => ({ item, at: random() }));
  return order.sort((a, b) => a.at - b.at).map(({ item }) => item);
}
