import type { DataSource } from "typeorm";
import { readPage } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { keepStreams, removeStreams } from "../stream/claim-stream.js";
import { streamFor, streamsOf } from "../stream/streams.js";
import { type Feed, type FeedPage, type FeedPosition, type IngestParts, resumeAfter } from "./feed.js";
import {
  advanceWatermark,
  haltAccount,
  provenTails,
  readCursor,
  type Scanned,
  type Tails,
} from "./watermark.js";

/** The payments of one account. It ends when the account is read from the network's feed. */
export class AccountFeed implements Feed {
  readonly name: AccountId;
  readonly version = null;
  readonly streamFor = streamFor;
  readonly #parts: IngestParts;
  #shards = 1;
  #formerShards: number | null = null;

  constructor(parts: IngestParts, account: AccountId) {
    this.#parts = parts;
    this.name = account;
  }

  get marksStreams(): boolean {
    return this.#shards > 1;
  }

  async resume(): Promise<FeedPosition | null> {
    const { redis, dataSource } = this.#parts;
    const { watermark, shards, formerShards, inNetwork } = await readCursor(dataSource.manager, this.name);
    if (inNetwork) return null;
    this.#shards = shards;
    this.#formerShards = formerShards;
    const streams = streamsOf(this.name, shards);
    await keepStreams(redis, streams);
    const tails = await provenTails(this.#parts, streams);
    return { cursor: resumeAfter(tails.values(), watermark), tails };
  }

  read(after: OperationId, limit: number, signal: AbortSignal): Promise<FeedPage> {
    return readPage(this.#parts.horizon, this.name, after, limit, signal);
  }

  advance(tails: Tails, scanned: Scanned | null): Promise<boolean> {
    return advanceWatermark(this.#parts.redis, this.#parts.dataSource, this.name, tails, scanned);
  }

  async caughtUp(): Promise<void> {
    const { redis, dataSource } = this.#parts;
    if (this.#formerShards !== null) await removeFormer(redis, dataSource, this.name, this.#formerShards);
  }

  halt(why: string): Promise<void> {
    return haltAccount(this.#parts.dataSource, this.name, why);
  }
}

/** What `cursors_shards_in_range` allows. */
export const MOST_SHARDS = 64;

/** What became of the wish for another number of shards. */
export type ShardChange =
  | { readonly kind: "changed"; readonly from: number }
  | { readonly kind: "as_it_was" }
  | { readonly kind: "not_watched" }
  /** The streams of the last change are still there: ingest has not come round to the new ones yet. */
  | { readonly kind: "under_way"; readonly former: number };

/** In the network's feed an account has no streams of its own: the number is for when it is read by itself again. */
const CHANGE = `
  UPDATE stream_cursors SET former_shards = CASE WHEN in_network THEN NULL ELSE shards END, shards = $2
  WHERE account = $1 AND shards <> $2 AND former_shards IS NULL`;

const READ = `SELECT shards, former_shards FROM stream_cursors WHERE account = $1 FOR UPDATE`;

/**
 * Spreads an account's credits into so many streams from now on. Nothing is moved: ingest begins the new streams at the
 * watermark, so that what waits in the old ones is fetched once more, and what both have is settled once. Consumers and
 * leaders notice within seconds.
 * @param shards 1 to `MOST_SHARDS`
 */
export async function changeShards(
  dataSource: DataSource,
  account: AccountId,
  shards: number,
): Promise<ShardChange> {
  return dataSource.transaction(async (manager) => {
    const [row]: { shards: number; former_shards: number | null }[] = await manager.query(READ, [account]);
    if (row === undefined) return { kind: "not_watched" };
    if (row.shards === shards) return { kind: "as_it_was" };
    if (row.former_shards !== null) return { kind: "under_way", former: row.former_shards };
    await manager.query(CHANGE, [account, shards]);
    return { kind: "changed", from: row.shards };
  });
}

const FORGET_FORMER = `UPDATE stream_cursors SET former_shards = NULL WHERE account = $1 AND former_shards = $2`;

/**
 * Removes the streams of an earlier number of shards. Only a leader may that has appended everything after the watermark
 * to the present ones: until then the old ones hold what Horizon would have to be asked for again.
 */
async function removeFormer(
  redis: RedisClient,
  dataSource: DataSource,
  account: AccountId,
  former: number,
): Promise<void> {
  await removeStreams(redis, streamsOf(account, former));
  await dataSource.query(FORGET_FORMER, [account, former]);
}
