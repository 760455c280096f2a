import { expect } from "chai";
import type { CheckoutSession, SessionId } from "../../src/entities/checkout-session.js";
import type { LockMode } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { type Credit, compareKeys, type Movement } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { openTestRedis, type TestRedis } from "../support/backends/redis.js";
import {
  anUnreadable,
  aSession,
  creditFor,
  findContradictions,
  newAccount,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase } from "../support/database.js";
import { append, drained, startConsumer } from "../support/stream.js";

const account = newAccount();
const template = { account, merchantId: "" };
const SESSIONS: readonly CheckoutSession[] = Array.from({ length: 40 }, () => aSession(template));
const MOVEMENTS: readonly Movement[] = SESSIONS.flatMap((session, index): Movement[] => {
  const wrongAsset = parseAsset(`USDC:${account}`);
  switch (index % 8) {
    case 0:
      return [creditFor(session), creditFor(session)];
    case 1:
      return [creditFor(session, { amount: toStroops(session.amount - 1n) }), creditFor(session)];
    case 2:
      return [creditFor(session, { asset: wrongAsset })];
    case 3:
      return [creditFor(session, { closedAt: new Date(session.expiresAt.getTime() + 1) })];
    case 4:
      return [creditFor(session, { memo: null })];
    case 5:
      return [creditFor(session, { amount: toStroops(session.amount + 1n) }), anUnreadable(account)];
    default:
      return [creditFor(session)];
  }
}).sort(compareKeys);

describe("G4: the same payments end in the same rows", () => {
  let server: TestRedis;
  let redis: RedisClient;

  before(async () => {
    server = await openTestRedis();
    redis = server.client;
  });
  after(async () => {
    await server.stop();
  });

  /** Settles everything in a database of its own. */
  async function settleUnder(
    mode: LockMode,
    options: { consumers: number; flushes: number; lockUrls?: string[] },
  ) {
    const database = await createTestDatabase();
    await server.flush();
    const { merchantId } = await watchAccount(database.dataSource, account);
    await openSessions(database.dataSource, ...SESSIONS.map((session) => ({ ...session, merchantId })));
    const consumers = Array.from({ length: options.consumers }, () =>
      startConsumer(server.target, database.dataSource, {
        mode,
        batch: 7,
        ...(options.lockUrls === undefined ? {} : { lockUrls: options.lockUrls }),
      }),
    );
    for (let i = 0; i < options.flushes; i++) {
      await append(redis, MOVEMENTS);
      await server.flush();
    }
    await append(redis, MOVEMENTS);
    await drained(redis, account);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    const books = await readBooks(database.dataSource);
    const events = await database.dataSource.query("SELECT id, body FROM outbox_events ORDER BY id");
    await database.close();
    return { books, events };
  }

  it("in one replica, row for row and event id for event id: locks on, required, off, without a quorum, Redis flushed", async () => {
    const runs = [
      await settleUnder("optional", { consumers: 1, flushes: 0 }),
      await settleUnder("required", { consumers: 1, flushes: 0 }),
      await settleUnder("off", { consumers: 1, flushes: 0 }),
      await settleUnder("off", { consumers: 1, flushes: 3 }),
      // Nobody listens there: a quorum that is never to be had.
      await settleUnder("optional", { consumers: 1, flushes: 1, lockUrls: ["redis://127.0.0.1:1"] }),
    ];
    for (const run of runs) {
      expect(findContradictions(run.books)).to.deep.equal([]);
      expect(run).to.deep.equal(runs[0]);
    }
  });

  it("in four replicas too, but for which of two racing credits of a session came first", async () => {
    const sessionOf = new Map<string, SessionId>(MOVEMENTS.flatMap((movement) => sessionsNamed(movement)));
    const credits = [...sessionOf.values()];
    /** A short credit is `underpaid` before the full one, and `duplicate` after it: either way it is not counted. */
    const reasonOf = (reason: string, id: string | null) =>
      credits.filter((other) => other === id).length > 1 && ["duplicate", "underpaid"].includes(reason)
        ? "lost the race"
        : reason;
    const runs = [];
    for (const mode of ["optional", "off"] as const)
      runs.push(await settleUnder(mode, { consumers: 4, flushes: 2 }));
    const [first, second] = runs.map(({ books }) => ({
      paid: books.paidSessions,
      confirmed: books.confirmations,
      credits: books.credits,
      exceptions: books.exceptions
        .map((row) => {
          const id = row.session_id ?? sessionOf.get(row.key) ?? null;
          return `${reasonOf(row.reason, id)} ${id ?? row.key}`;
        })
        .sort(),
    }));
    expect(second).to.deep.equal(first);
  });
});

function sessionsNamed(movement: Movement): [string, SessionId][] {
  const named = SESSIONS.find((session) => session.memoKey === (movement as Credit).memo);
  return named === undefined ? [] : [[`${movement.operationId}-${movement.moveIndex}`, named.id]];
}
