import type { DataSource } from "typeorm";
import { readNetworkPage, type WatchedSet } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { claimStream } from "../stream/claim-stream.js";
import { NETWORK } from "../stream/stream-keys.js";
import { networkStreamFor, networkStreams } from "../stream/streams.js";
import { type Feed, type FeedPage, type FeedPosition, type IngestParts, resumeAfter } from "./feed.js";
import { passVersion } from "./network-members.js";
import type { NetworkSizes } from "./network-mode.js";
import { moveUpwards, progressValues, provenTails, provenTo, type Scanned, type Tails } from "./watermark.js";

/**
 * The payments of all accounts that are in the network's feed: the same as for one account, but that each record is
 * looked up in the set, and that the streams must be claimed for it. It ends when nobody is in it any more.
 */
export class NetworkFeed implements Feed {
  readonly name = NETWORK;
  readonly marksStreams = true;
  readonly streamFor = networkStreamFor;
  readonly #parts: IngestParts;
  readonly #sizes: NetworkSizes;
  #version = 0n;
  #watched: WatchedSet = new Map();

  /** @param sizes learns what the pages carry */
  constructor(parts: IngestParts, sizes: NetworkSizes) {
    this.#parts = parts;
    this.#sizes = sizes;
  }

  get version(): string {
    return this.#version.toString();
  }

  async resume(): Promise<FeedPosition | null> {
    for (;;) {
      const set = await readNetworkSet(this.#parts.dataSource);
      if (set === null) return null;
      const { watermark, version, streams } = set.cursor;
      this.#version = version;
      this.#watched = set.watched;
      // Out of date where it can't be claimed: somebody has joined since, and another leader knows already.
      if (!(await this.#claimAll(streams))) continue;
      const tails = await provenTails(this.#parts, networkStreams(streams));
      return { cursor: resumeAfter(tails.values(), watermark), tails };
    }
  }

  async read(after: OperationId, limit: number, signal: AbortSignal): Promise<FeedPage> {
    const page = await readNetworkPage(this.#parts.horizon, this.#watched, after, limit, signal);
    this.#sizes.learn(page.carried);
    return page;
  }

  advance(tails: Tails, scanned: Scanned | null): Promise<boolean> {
    return advanceNetwork(this.#parts.redis, this.#parts.dataSource, this.#version, tails, scanned);
  }

  async caughtUp(): Promise<void> {}

  async halt(why: string): Promise<void> {
    const HALT = "UPDATE network_feed SET halted_because = $1, halted_at = COALESCE(halted_at, now())";
    await this.#parts.dataSource.query(HALT, [why]);
  }

  /** @returns false where one of the streams is of a newer set */
  async #claimAll(count: number): Promise<boolean> {
    const { redis, dataSource } = this.#parts;
    const claims = await Promise.all(
      networkStreams(count).map((stream) => claimStream(redis, stream, this.#version)),
    );
    const newer = claims.flatMap((claim) => (claim.kind === "newer" ? [claim.version] : []));
    if (newer.length === 0) return true;
    await passVersion(
      dataSource,
      this.#version,
      newer.reduce((a, b) => (a > b ? a : b)),
    );
    return false;
  }
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

/** Only for the set that it was proven for. */
const ADVANCE = `
  WITH advanced AS (${moveUpwards("network_feed", "set_version = $1::bigint")})
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
