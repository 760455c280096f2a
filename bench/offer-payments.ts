import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type Histogram } from "hdr-histogram-js";
import type { DataSource } from "typeorm";
import { endRoles } from "../test/support/role-process.js";
import { plainRedis } from "../test/support/stream.js";
import { timetable } from "./open-loop.js";
import { BenchReceiver } from "./receiver.js";
import { networkRoad, type Road, type Seen, streamRoad } from "./roads.js";
import { startRole, stopRole } from "./roles.js";
import type { Servers } from "./servers.js";
import { openShops, untilTold } from "./shops.js";

export type Offer = {
  readonly perSecond: number;
  /** Measured; a second and a half before it are not. */
  readonly seconds: number;
  readonly merchants: number;
  /** Milliseconds from one ledger to the next: through the network. Null: straight into the streams. */
  readonly ledgerMs: number | null;
  readonly seed: number;
};

/** How long each payment took, in microseconds from when it was seen. */
export type Latencies = {
  /** To the acknowledgement, which comes right after the commit. */
  readonly committed: Histogram;
  /** To the request at the merchant's server. What never came counts with the time until nobody waited any more. */
  readonly sent: Histogram;
  readonly payments: number;
  /** Events that had not come when nobody waited any more. */
  readonly untold: number;
};

/** Programs are compiled and connections opened in here. */
const WARM_UP_SECONDS = 1.5;

/** After the last payment: what has not come by then is further behind than any goal. */
export const WAIT_MS = 10_000;

const STAMP = new URL("processes/stamp-acknowledged.js", import.meta.url);

/**
 * Offers payments at a rate to a service of real processes with a fresh database, and measures each.
 * @throws Error where a payment was not settled, or the books are wrong
 */
export async function offerPayments(servers: Servers, offer: Offer): Promise<Latencies> {
  await using database = await servers.database();
  await using receiver = await BenchReceiver.start();
  const redis = plainRedis(servers.redis.url);
  const folder = await mkdtemp(join(tmpdir(), "paidonce-bench-"));
  try {
    await redis.flushall();
    await using road = await openRoad(servers, database.dataSource, offer);
    const times = timetable(offer.perSecond, offer.seconds + WARM_UP_SECONDS, offer.seed);
    await openShops(database.dataSource, road, times.length, receiver.url);
    const stamps = join(folder, "stamps");
    const place = { databaseUrl: database.url, redisUrl: servers.redis.url };
    const [consume] = await Promise.all([
      startRole("consume", place, { env: { ...road.env, STAMPS_FILE: stamps }, preload: STAMP }),
      startRole("work", place, { env: road.env }),
      ...(road.horizonUrl === null
        ? []
        : [startRole("ingest", { ...place, horizonUrl: road.horizonUrl }, { env: road.env })]),
    ]);
    const seen = await road.offer(times);
    await untilTold(database.dataSource, times.length, WAIT_MS);
    const waitedUntil = process.hrtime.bigint();
    await stopRole(consume);
    const acknowledged = readStamps(await readFile(stamps, "utf8"));
    const events = await entriesOfEvents(database.dataSource, times.length);
    const warm = times.findIndex((at) => at >= BigInt(WARM_UP_SECONDS * 1e9));
    return compare(seen, warm, acknowledged, await receiver.arrivals(), events, waitedUntil);
  } finally {
    await endRoles();
    redis.disconnect();
    await rm(folder, { recursive: true, force: true });
  }
}

function openRoad({ redis }: Servers, dataSource: DataSource, offer: Offer): Promise<Road> {
  return offer.ledgerMs === null
    ? streamRoad(dataSource, redis.url, offer.merchants)
    : networkRoad(dataSource, offer.merchants, offer.ledgerMs);
}

/** The event of each payment, by the payment's entry. @throws Error unless each session is paid once, and told of once */
async function entriesOfEvents(dataSource: DataSource, count: number): Promise<ReadonlyMap<string, string>> {
  const rows: { event: string; entry: string }[] = await dataSource.query(
    `SELECT o.id AS event, p.operation_id || '-' || p.move_index AS entry
     FROM payments p JOIN checkout_sessions s ON s.id = p.session_id AND s.status = 'paid'
     JOIN outbox_events o ON o.session_id = s.id AND o.type = 'payment.confirmed'`,
  );
  const events = new Map(rows.map(({ event, entry }) => [entry, event]));
  if (rows.length !== count || events.size !== count) {
    throw new Error(`${count} payments were offered, ${rows.length} are on record`);
  }
  return events;
}

function readStamps(text: string): ReadonlyMap<string, bigint> {
  const stamps = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const [entry = "", at = "0"] = line.split(" ");
    if (!stamps.has(entry)) stamps.set(entry, BigInt(at));
  }
  return stamps;
}

function compare(
  seen: Seen,
  warm: number,
  acknowledged: ReadonlyMap<string, bigint>,
  arrivals: ReadonlyMap<string, bigint>,
  events: ReadonlyMap<string, string>,
  waitedUntil: bigint,
): Latencies {
  const [committed, sent] = [microseconds(), microseconds()];
  let untold = 0;
  const measured = [...seen].slice(warm);
  for (const [entry, at] of measured) {
    const settledAt = acknowledged.get(entry);
    if (settledAt === undefined) throw new Error(`the payment ${entry} was never acknowledged`);
    record(committed, settledAt - at);
    const toldAt = arrivals.get(events.get(entry) ?? "");
    if (toldAt === undefined) untold++;
    record(sent, (toldAt ?? waitedUntil) - at);
  }
  return { committed, sent, payments: measured.length, untold };
}

function microseconds(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
  });
}

function record(histogram: Histogram, nanoseconds: bigint): void {
  histogram.recordValue(Math.max(1, Number(nanoseconds / 1_000n)));
}
