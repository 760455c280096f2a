import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readCursor } from "../../../src/ingest/watermark.js";
import { GROUP, streamKey } from "../../../src/stream/stream-keys.js";
import { streamsOf, watchedStreams } from "../../../src/stream/streams.js";
import type { RedisServer } from "../../../stage/machine/redis.js";
import { killQuietly } from "../../support/kill.js";
import { aloneOf, flushRedis, isAlone, onRedis } from "../redis-side.js";

import type { World } from "../world.js";
import { type Fault, wait } from "./fault.js";

/** How often the group is set back to the start of a stream: each entry in it is delivered again, to anybody. */
const REDELIVERIES = 100;

/**
 * An entry that nobody can read, behind the newest: its id names the newest entry's operation, with an index that no
 * move of an operation has.
 */
const POISON = `
  if redis.call('EXISTS', KEYS[1]) == 0 then return false end
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  local tail = '0-0'
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then tail = info[i + 1] end end
  local operation, index = string.match(tail, '(%d+)-(%d+)')
  if operation == '0' then return false end
  local id = operation .. '-' .. math.max(tonumber(index) + 1, 900)
  redis.call('XADD', KEYS[1], id, 'v', '99', 'kind', 'poison', 'record', ARGV[1])
  return id`;

/** Two of three: no quorum is left. */
const MAJORITY = 2;

export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: "kill -9 of the stream's Redis, nothing on disk",
    seen: "ingest returns to the watermark; every credit settled once; schedules and deliveries come back",
    times: 2,
    on: isAlone,
    run: (world, dice) => killEmpty(aloneOf(world), dice.between(0, 3_000)),
  },
  {
    name: "FLUSHALL of the stream's Redis",
    seen: "ingest returns to the watermark; every credit settled once",
    times: 2,
    run: (world) => flushRedis(world.servers.redis),
  },
  {
    name: "clean restart of the stream's Redis",
    seen: "ingest returns to the watermark; every credit settled once",
    times: 1,
    on: isAlone,
    run: (world) => aloneOf(world).restart(),
  },
  {
    name: "failover of Redis that loses the last seconds",
    seen: "the tail check rewinds; no gap",
    times: 2,
    on: isAlone,
    run: (world, dice) => failOverToOlder(aloneOf(world), dice.between(500, 2_500)),
  },
  {
    name: `stream redelivered ${REDELIVERIES} times to any replica`,
    seen: "one row each; the rest counted as redeliveries",
    times: 2,
    run: (world, dice, signal) =>
      onRedis(world.servers.redis, async (redis) => {
        const stream = dice.pick(await watchedStreams(world.dataSource.manager));
        let times = 0;
        for (let i = 0; i < REDELIVERIES && !signal.aborted; i++) {
          const isSet = await redis.xgroup("SETID", streamKey(stream), GROUP, "0").catch(() => null);
          if (isSet !== null) times++;
          await wait(20, signal);
        }
        if (times === 0) throw new Error("there was no stream");
      }),
  },
  {
    name: "poison entry in the stream",
    seen: "alone as an unreadable exception; its neighbours settled",
    times: 2,
    run: (world, dice) =>
      onRedis(world.servers.redis, async (redis) => {
        const { account } = poisonedShop(world);
        const junk = "\u0007".repeat(dice.pick([1, 400_000]));
        const { shards } = await readCursor(world.dataSource.manager, account);
        const stream = dice.pick(streamsOf(account, shards));
        const id = await redis.eval(POISON, 1, streamKey(stream), junk);
        if (typeof id !== "string") throw new Error("there was no stream");
        world.ledger.poisonEntry(id);
      }),
  },
  {
    name: "kill -9 of two of three lock servers",
    seen: "LOCKS=optional carries on with the database alone, and says so; no double",
    times: 2,
    on: isAlone,
    run: async (world, dice, signal) => {
      const victims = dice.shuffled(world.servers.locks).slice(0, MAJORITY);
      await Promise.all(victims.map((server) => server.kill()));
      await wait(dice.between(1_000, 4_000), signal);
      await Promise.all(victims.map((server) => server.restart()));
    },
  },
  {
    name: "SIGSTOP of two of three lock servers",
    seen: "LOCKS=optional carries on with the database alone, and says so; no double",
    times: 2,
    on: isAlone,
    run: async (world, dice, signal) => {
      const pids = dice
        .shuffled(world.servers.locks)
        .slice(0, MAJORITY)
        .map(({ pid }) => pid);
      for (const pid of pids) killQuietly(pid, "SIGSTOP");
      await wait(dice.between(1_000, 4_000), signal);
      for (const pid of pids) killQuietly(pid, "SIGCONT");
    },
  },
  {
    name: "FLUSHALL of all lock servers",
    seen: "locks are lost while they are held; the constraints decide; one payment",
    times: 1,
    on: isAlone,
    run: async (world) => {
      await Promise.all(world.servers.locks.map((server) => onRedis(server, (redis) => redis.flushall())));
    },
  },
];

/** `kill -9`; what comes back is empty. */
export async function killEmpty(redis: RedisServer, awayMs: number): Promise<void> {
  await redis.kill();
  await sleep(awayMs);
  await rm(join(redis.dir, "dump.rdb"), { force: true });
  await redis.restart();
}

/**
 * What a failover to a replica that was behind does: the server goes on for a while after a copy was made, dies,
 * and the copy takes over.
 */
async function failOverToOlder(redis: RedisServer, lostMs: number): Promise<void> {
  const dump = join(redis.dir, "dump.rdb");
  const copy = join(redis.dir, "replica.rdb");
  await onRedis(redis, (client) => client.call("SAVE"));
  await copyFile(dump, copy);
  await sleep(lostMs);
  await redis.kill();
  await copyFile(copy, dump);
  await redis.restart();
  await rm(dump, { force: true });
}

/** Poison goes to one account, so that the audits of the others must find nothing at all. */
export function poisonedShop(world: World): World["street"]["shops"][number] {
  const shop = world.street.shops.at(-1);
  if (shop === undefined) throw new Error("there are no shops");
  return shop;
}
