import type { DataSource } from "typeorm";
import { readNetworkPage, type WatchedSet } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { claimStream } from "../stream/claim-stream.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { NETWORK } from "../stream/stream-keys.js";
import { networkStreamFor, networkStreams } from "../stream/streams.js";
import type { Tails } from "./append-page.js";
import type { Bell } from "./lead-feed.js";
import { type Feed, type IngestParts, ingestFeed, resumeAfter, type Standing } from "./lead-feed.js";
import { passVersion } from "./network-members.js";
import type { NetworkSizes } from "./network-mode.js";
import { progressValues, provenTails, provenTo, type Scanned } from "./watermark.js";

/**
 * Leads the ingest of all accounts that are in the network's feed: the same as for one account, but that each record is
 * looked up in the set, and that the streams must be claimed for it.
 *
 * Returns when `signal` aborts, or nobody is in the feed any more.
 * @param sizes learns what the pages carry
 */
export async function ingestNetwork(
  parts: IngestParts,
  sizes: NetworkSizes,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const feed: Feed = {
    name: NETWORK,
    resume: () => resume(parts, sizes),
    halt: (why) => haltNetwork(parts.dataSource, why),
  };
  await ingestFeed(parts, feed, bell, signal);
}

async function resume(parts: IngestParts, sizes: NetworkSizes): Promise<Standing | null> {
  const { redis, dataSource, horizon } = parts;
  for (;;) {
    const set = await readNetworkSet(dataSource);
    if (set === null) return null;
    const { watermark, version, streams } = set.cursor;
    const tails = await claimAll(parts, version, streams);
    // Out of date: somebody has joined since, and another leader knows already.
    if (tails === null) continue;
    return {
      cursor: resumeAfter(tails.values(), watermark),
      tails,
      lanes: {
        feed: NETWORK,
        streamOf: networkStreamFor,
        marked: true,
        version: version.toString(),
        keyring: entryKeyring(dataSource),
      },
      read: async (after, limit, signal) => {
        const page = await readNetworkPage(horizon, set.watched, after, limit, signal);
        sizes.learn(page.carried);
        return page;
      },
      advance: (now, scanned) => advanceNetwork(redis, dataSource, version, now, scanned),
    };
  }
}

/** @returns the tails of all streams; null where one of them is of a newer set */
async function claimAll(parts: IngestParts, version: bigint, count: number) {
  const { redis, dataSource } = parts;
  const claims = await Promise.all(
    networkStreams(count).map(async (stream) => ({
      stream,
      claim: await claimStream(redis, stream, version),
    })),
  );
  const newer = claims.flatMap(({ claim }) => (claim.kind === "newer" ? [claim.version] : []));
  if (newer.length > 0) {
    const newest = newer.reduce((a, b) => (a > b ? a : b));
    await passVersion(dataSource, version, newest);
    return null;
  }
  return provenTails(parts, networkStreams(count));
}

/** The network's feed as Postgres knows it. */
export type NetworkCursor = {
  readonly watermark: OperationId;
  readonly readThrough: OperationId;
  readonly settledThrough: Date | null;
  /** Which set of accounts it is read for. */
  readonly version: bigint;
  readonly streams: number;
  readonly haltedBecause: string | null;
};

const READ = `SELECT watermark, greatest(watermark, read_through) AS read_through, settled_through, set_version, streams, halted_because FROM network_feed`;

type Row = {
  watermark: string;
  read_through: string;
  settled_through: Date | null;
  set_version: string;
  streams: number;
  halted_because: string | null;
};

type Queries = Pick<DataSource, "query">;

/** @returns null where no account is read from the network's feed */
export async function readNetworkCursor(queries: Queries): Promise<NetworkCursor | null> {
  const [row]: Row[] = await queries.query(READ);
  return (
    (row && {
      watermark: parseOperationId(row.watermark),
      readThrough: parseOperationId(row.read_through),
      settledThrough: row.settled_through,
      version: BigInt(row.set_version),
      streams: row.streams,
      haltedBecause: row.halted_because,
    }) ??
    null
  );
}

/** Of each account what is before it is committed, or is none of ours. */
const READ_SET = `SELECT account, watermark FROM stream_cursors WHERE in_network`;

/**
 * Reads the feed's cursor and the accounts that it is read for, in one snapshot: a set that is newer than its version
 * would be claimed under the old one, and a set that is older would leave somebody out under the new one.
 */
export async function readNetworkSet(
  dataSource: DataSource,
): Promise<{ readonly cursor: NetworkCursor; readonly watched: WatchedSet } | null> {
  return dataSource.transaction("REPEATABLE READ", async (manager) => {
    const cursor = await readNetworkCursor(manager);
    if (cursor === null) return null;
    const rows: { account: string; watermark: string }[] = await manager.query(READ_SET);
    const watched = new Map(rows.map(({ account, watermark }) => [account, parseOperationId(watermark)]));
    return { cursor, watched };
  });
}

/** Only upwards, and only for the set that it was proven for. */
const ADVANCE = `
  WITH advanced AS (
    UPDATE network_feed
    SET watermark = GREATEST(watermark, $2::bigint),
        read_through = GREATEST(read_through, $4::bigint),
        settled_through = GREATEST(settled_through, $3::timestamptz),
        halted_because = NULL, halted_at = NULL
    WHERE set_version = $1::bigint
      AND (watermark < $2::bigint OR read_through < $4::bigint OR settled_through IS NULL OR settled_through < $3::timestamptz OR halted_because IS NOT NULL)
  )
  SELECT FROM network_feed WHERE set_version = $1::bigint`;

/**
 * Moves the feed's watermark, and with it that of every account that is in it, to what all its streams prove.
 * @param tails the caller's last appends; a stream that ends elsewhere proves nothing to it
 * @returns false if a stream has another tail by now, or the feed is read for another set of accounts
 */
export async function advanceNetwork(
  redis: RedisClient,
  dataSource: DataSource,
  version: bigint,
  tails: Tails,
  scanned: Scanned | null,
): Promise<boolean> {
  const progress = await provenTo(redis, tails, scanned);
  if (progress === null) return false;
  const rows: unknown[] = await dataSource.query(ADVANCE, [version.toString(), ...progressValues(progress)]);
  return rows.length > 0;
}

/** Records why ingest stopped the feed; the watermark's next move clears it. */
export async function haltNetwork(queries: Queries, why: string): Promise<void> {
  await queries.query("UPDATE network_feed SET halted_because = $1, halted_at = COALESCE(halted_at, now())", [
    why,
  ]);
}
