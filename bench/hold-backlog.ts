import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import type { AccountId } from "../src/stellar/credit.js";
import { appendEntries, NO_TAIL } from "../src/stream/append-entries.js";
import { entryKeyring } from "../src/stream/entry-keys.js";
import { freePort } from "../stage/machine/free-port.js";
import { Stage } from "../test/sandbox/stage.js";
import { watchOnStage } from "../test/support/ingest.js";
import { endRoles } from "../test/support/role-process.js";
import { plainRedis } from "../test/support/stream.js";
import { KNOWS_COSTS, residentBytesOf } from "./process-cost.js";
import { type BenchRole, type RoleName, startRole, stopRole } from "./roles.js";
import type { Servers } from "./servers.js";
import { creditOf, LEDGER, openSessions } from "./stock.js";
import { backlog } from "./streams.js";

/** What a backlog takes. */
export type Backlog = {
  readonly entries: number;
  readonly bytesPerEntry: number;
  /** The most that each role held, in bytes, while some of it was settled; empty where the kernel does not tell. */
  readonly resident: Readonly<Partial<Record<RoleName, number>>>;
  readonly settled: number;
  readonly kept: number;
};

const LOOK_EVERY_MS = 100;

/**
 * Fills one account's stream, starts a consumer on it, and watches its memory until `settled` of it are settled.
 * @param beside roles that are there meanwhile, and watched too
 * @throws Error where an entry was lost or counted twice
 */
export async function holdBacklog(
  servers: Servers,
  entries: number,
  settled: number,
  beside: readonly RoleName[],
): Promise<Backlog> {
  await using database = await servers.database();
  const { dataSource } = database;
  // Ledgers before those of the backlog: the account is watched from there.
  await using stage = await Stage.open({ firstLedger: LEDGER - 10 });
  const owner = await watchOnStage(dataSource, stage);
  while (stage.network.latest.sequence <= LEDGER) stage.network.closeLedger();
  await openSessions(dataSource, owner, { from: 1, to: Math.min(entries, settled * 3) + 1 });
  const redis = plainRedis(servers.redis.url);
  try {
    await redis.flushall();
    const bytesBefore = await usedMemory(redis);
    await fill(dataSource, redis, owner.account, entries);
    const bytesPerEntry = ((await usedMemory(redis)) - bytesBefore) / entries;
    const place = {
      databaseUrl: database.url,
      redisUrl: servers.redis.url,
      horizonUrl: stage.sandbox.url,
    };
    const env = { PORT: String(await freePort()) };
    // The consumer last: what it settles is what the others are watched for.
    const others = await Promise.all(beside.map((it) => startRole(it, place, { env })));
    const consume = await startRole("consume", place);
    const resident = await watchMemory([...others, consume], async () => {
      return entries - (await backlog(redis, [owner.account])) >= settled;
    });
    for (const role of [consume, ...others]) await stopRole(role);
    const kept = await backlog(redis, [owner.account]);
    const [{ recorded }] = await dataSource.query("SELECT count(*)::integer AS recorded FROM credits");
    if (recorded + kept !== entries) {
      throw new Error(`of ${entries} entries ${recorded} are recorded and ${kept} still wait`);
    }
    return { entries, bytesPerEntry, resident, settled: recorded, kept };
  } finally {
    await endRoles();
    redis.disconnect();
  }
}

async function watchMemory(
  roles: readonly BenchRole[],
  isOver: () => Promise<boolean>,
): Promise<Partial<Record<RoleName, number>>> {
  const most: Partial<Record<RoleName, number>> = {};
  while (!(await isOver())) {
    if (KNOWS_COSTS) {
      for (const { name, pid } of roles) {
        most[name] = Math.max(most[name] ?? 0, await residentBytesOf(pid));
      }
    }
    await sleep(LOOK_EVERY_MS);
  }
  return most;
}

const APPEND_AT_ONCE = 200;
const IN_FLIGHT = 8;

/** By ingest's own script, without holding all of it in memory here. */
async function fill(
  dataSource: DataSource,
  redis: Redis,
  account: AccountId,
  entries: number,
): Promise<void> {
  const key = await entryKeyring(dataSource).signing();
  const closedAt = new Date();
  let tail = NO_TAIL;
  let flying: Promise<void>[] = [];
  for (let from = 1; from <= entries; from += APPEND_AT_ONCE) {
    const count = Math.min(APPEND_AT_ONCE, entries + 1 - from);
    const credits = Array.from({ length: count }, (_, i) => creditOf(from + i, account, closedAt));
    const expected = tail;
    // Known before Redis says so: the next append need not wait for this one.
    tail = `${credits.at(-1)?.operationId}-0` as typeof tail;
    flying.push(
      appendEntries(redis, account, expected, credits, { key }).then(({ appended }) => {
        if (!appended) throw new Error("somebody else appends to the benchmark's stream");
      }),
    );
    if (flying.length < IN_FLIGHT) continue;
    await Promise.all(flying);
    flying = [];
  }
  await Promise.all(flying);
}

async function usedMemory(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info("memory"))?.[1]);
}
