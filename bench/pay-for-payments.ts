import type { DataSource } from "typeorm";
import { endRoles } from "../test/support/role-process.js";
import { plainRedis } from "../test/support/stream.js";
import { checkRows } from "./check-rows.js";
import { timetable } from "./open-loop.js";
import { cpuSecondsOf, cpuSecondsOfFamily, KNOWS_COSTS } from "./process-cost.js";
import { BenchReceiver } from "./receiver.js";
import { networkRoad } from "./roads.js";
import { startRole } from "./roles.js";
import type { Servers } from "./servers.js";
import { openShops, untilTold } from "./shops.js";

/** What a table grew by. */
export type Growth = {
  readonly table: string;
  readonly rows: number;
  /** Bytes, what is toasted included. */
  readonly heap: number;
  readonly indexes: number;
};

/** What some payments took, all together. */
export type PaymentCost = {
  readonly payments: number;
  /** By who used them; empty where the kernel does not tell. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  readonly tables: readonly Growth[];
};

const MERCHANTS = 4;
const LEDGER_MS = 1_000;

/** However slow the machine, the webhooks belong to the cost. */
const WAIT_MS = 120_000;

/**
 * Pays sessions on the sandbox network and lets every role do its part, webhooks included.
 * @throws Error unless each payment was settled once and told of once
 */
export async function payForPayments(
  servers: Servers,
  perSecond: number,
  seconds: number,
  seed: number,
): Promise<PaymentCost> {
  await using database = await servers.database();
  const { dataSource } = database;
  await using receiver = await BenchReceiver.start();
  const redis = plainRedis(servers.redis.url);
  try {
    await redis.flushall();
    await using road = await networkRoad(dataSource, MERCHANTS, LEDGER_MS);
    const times = timetable(perSecond, seconds, seed);
    const empty = await sizesOf(dataSource);
    await openShops(dataSource, road, times.length, receiver.url);
    const place = {
      databaseUrl: database.url,
      redisUrl: servers.redis.url,
      horizonUrl: road.horizonUrl ?? "",
    };
    const roles = await Promise.all(
      (["ingest", "consume", "work"] as const).map((it) => startRole(it, place, { env: road.env })),
    );
    const cpu = async (): Promise<Record<string, number>> => {
      if (!KNOWS_COSTS) return {};
      const own = await Promise.all(
        roles.map(async ({ name, pid }) => [name, await cpuSecondsOf(pid)] as const),
      );
      return {
        ...Object.fromEntries(own),
        Postgres: await cpuSecondsOfFamily(servers.postgres.pid),
        Redis: await cpuSecondsOf(servers.redis.pid),
      };
    };
    const before = await cpu();
    await road.offer(times);
    const told = await untilTold(dataSource, times.length, WAIT_MS);
    const after = await cpu();
    if (told !== times.length) throw new Error(`${told} of ${times.length} webhooks were delivered in time`);
    await checkRows(dataSource, { credits: times.length, payments: times.length }, "cost");
    const cpuSeconds = Object.fromEntries(
      Object.entries(after).map(([name, used]) => [name, used - (before[name] ?? 0)]),
    );
    return { payments: times.length, cpuSeconds, tables: grownBy(empty, await sizesOf(dataSource)) };
  } finally {
    await endRoles();
    redis.disconnect();
  }
}

const TABLES = `
  SELECT coalesce(pg_partition_root(oid), oid)::regclass::text AS table,
         sum(pg_table_size(oid))::float8 AS heap, sum(pg_indexes_size(oid))::float8 AS indexes
  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 1`;

async function sizesOf(dataSource: DataSource): Promise<Growth[]> {
  const tables: Omit<Growth, "rows">[] = await dataSource.query(TABLES);
  const sizes: Growth[] = [];
  for (const one of tables) {
    const [{ rows }] = await dataSource.query(`SELECT count(*)::float8 AS rows FROM ${one.table}`);
    sizes.push({ ...one, rows });
  }
  return sizes;
}

/** Only tables that got rows of their own for each payment, or nearly. */
function grownBy(before: readonly Growth[], after: readonly Growth[]): Growth[] {
  return after.flatMap(({ table, rows, heap, indexes }) => {
    const then = before.find((other) => other.table === table);
    const grown = {
      table,
      rows: rows - (then?.rows ?? 0),
      heap: heap - (then?.heap ?? 0),
      indexes: indexes - (then?.indexes ?? 0),
    };
    return grown.rows > MERCHANTS * 2 ? [grown] : [];
  });
}
