import { Redis } from "ioredis";
import { pino } from "pino";
import type { DataSource } from "typeorm";
import { openReader } from "../../src/cli/open-servers.js";
import { Consumer, type ConsumerOptions } from "../../src/consumers/consumer.js";
import { type LockMode, SessionLocks } from "../../src/locks/session-locks.js";
import type { RedisClient, RedisTarget } from "../../src/redis/client.js";
import { connectLockServer, connectRedis } from "../../src/redis/client.js";
import { type AccountId, compareKeys, type Movement } from "../../src/stellar/credit.js";
import { appendEntries, readPosition } from "../../src/stream/append-entries.js";
import { encodeEntry, entryId, parseEntryId } from "../../src/stream/entry.js";
import { signEntry } from "../../src/stream/entry-mac.js";
import { GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { TEST_KEY } from "./entry-key.js";

export const silent = pino({ level: process.env.TEST_LOG ?? "silent" });

/** Appends movements as an ingest leader would: those that the stream does not have yet. */
export async function append(redis: RedisClient, movements: readonly Movement[]): Promise<void> {
  const [first] = movements;
  if (first === undefined) return;
  const { tail } = await readPosition(redis, first.account);
  const known = parseEntryId(tail);
  const fresh = movements.filter((movement) => compareKeys(movement, known) > 0);
  const { appended } = await appendEntries(redis, first.account, tail, fresh, { key: TEST_KEY });
  if (!appended) throw new Error("the tail moved");
}

/** Adds a copy of an entry under an id that Redis takes, as no ingest ever would: for redelivery under force. */
export function copyOf(movement: Movement): string[] {
  const id = entryId(movement);
  return [id, ...signEntry(TEST_KEY, movement.account, id, encodeEntry(movement))];
}

export type TestConsumer = { readonly consumer: Consumer; stop(): Promise<void> };

let names = 0;

/** A consumer in this process with connections of its own. */
export function startConsumer(
  target: RedisTarget,
  dataSource: DataSource,
  options: Partial<ConsumerOptions> & {
    mode?: LockMode;
    lockTargets?: readonly RedisTarget[];
    leaseMs?: number;
  } = {},
): TestConsumer {
  const { mode = "optional", lockTargets = [target], leaseMs = 5_000, ...overrides } = options;
  const redis = connectRedis(target, "test", silent);
  const blockMs = overrides.blockMs ?? 50;
  const name = `test-${process.pid}-${++names}`;
  const { reader, close } = openReader(target, name, silent, blockMs);
  const servers = mode === "off" ? [] : lockTargets.map((server) => connectLockServer(server, silent));
  const consumer = new Consumer({
    redis,
    reader,
    dataSource,
    locks: new SessionLocks({ servers, mode, leaseMs, logger: silent }),
    logger: silent,
    name,
    batch: 100,
    claimIdleMs: 500,
    maxDeliveries: 5,
    blockMs,
    ...overrides,
  });
  consumer.start();
  return {
    consumer,
    stop: async () => {
      await consumer.stop();
      close();
      for (const connection of [redis, ...servers]) connection.disconnect();
    },
  };
}

/** Resolves when every entry of the account's stream is settled, acknowledged and deleted. */
export async function drained(redis: RedisClient, account: AccountId): Promise<void> {
  await eventually(async () => {
    const length = await redis.xlen(streamKey(account));
    if (length > 0) return false;
    const pending = (await redis.xpending(streamKey(account), GROUP).catch(() => [0])) as [number];
    return pending[0] === 0;
  });
}

/** Asks again and again until the answer is yes. Mocha's own time-out ends it if it never is. */
export async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20));
}

export function plainRedis(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  return redis;
}
