import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { HorizonClient } from "../horizon/client.js";
import type { LedgerWatch } from "../horizon/ledger-watch.js";
import type { NetworkView } from "../horizon/network-view.js";
import type { RedisClient } from "../redis/client.js";
import type { NetworkMovement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import type { FeedName, StreamName } from "../stream/stream-keys.js";
import type { ReadingChoice } from "./network-mode.js";
import type { Scanned, Tails } from "./watermark.js";

export type IngestParts = {
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  readonly network: NetworkView;
  /** Says when there is a ledger to read, and up to which one a page is complete. */
  readonly ledgers: LedgerWatch;
  readonly logger: Logger;
  readonly observer?: IngestObserver;
};

/** Receives what a leader of ingest does, for figures. Decides nothing and must not throw. */
export type IngestObserver = {
  appended(entries: number): void;
  /** Everything of the feed up to `cursor` has been read and appended. */
  read(feed: FeedName, cursor: OperationId): void;
  /** This process leads the feed no more. */
  left(feed: FeedName): void;
  /** How accounts are to be read, and why. Only by the process that leads the network's feed. */
  chose(choice: ReadingChoice): void;
};

/** The leader has appended everything up to `cursor`, and the streams end at `tails`. */
export type FeedPosition = { readonly cursor: OperationId; readonly tails: Tails };

/** What a page of a feed holds for its streams. */
export type FeedPage = {
  /** In the network's order. */
  readonly movements: readonly NetworkMovement[];
  /** Where the next page begins. */
  readonly cursor: OperationId;
  /** Whether the server had nothing more when it answered. */
  readonly isLast: boolean;
};

/** What a leader reads into streams: the payments of one account (AccountFeed), or of the network (NetworkFeed). */
export interface Feed {
  readonly name: FeedName;
  /** Whether each stream says how far the feed was read, also where there was nothing for it. */
  readonly marksStreams: boolean;
  /** Of the set of accounts, for the network's streams; null for an account's. */
  readonly version: string | null;
  /** Finds where to go on, from what the streams and Postgres say; null where there is nothing to read any more. */
  resume(): Promise<FeedPosition | null>;
  /** @throws HorizonError */
  read(after: OperationId, limit: number, signal: AbortSignal): Promise<FeedPage>;
  /** The stream that a movement goes into. */
  streamFor(movement: NetworkMovement, streams: readonly StreamName[]): StreamName;
  /**
   * Moves the watermark to what the streams prove.
   * @param tails the caller's last appends
   * @returns false where the streams end elsewhere, or are not the feed's any more: begin again
   */
  advance(tails: Tails, scanned: Scanned | null): Promise<boolean>;
  /** Called once the first page that was the last has been appended. */
  caughtUp(): Promise<void>;
  /** Records why the feed is stopped; the next move of its watermark clears it. */
  halt(why: string): Promise<void>;
}

/**
 * Where to go on: after the stream that ends first, or the watermark where that is further. Streams that are new begin at
 * the watermark.
 */
export function resumeAfter(tails: Iterable<Tail>, watermark: OperationId): OperationId {
  return [...tails]
    .map((tail) => (tail === NO_TAIL ? 0n : beforeTail(tail)))
    .map((reached) => (reached > watermark ? reached : watermark))
    .reduce((a, b) => (a < b ? a : b)) as OperationId;
}

/** One before the tail's operation: if an append broke off between two of its moves, the rest comes again. */
function beforeTail(tail: Tail): bigint {
  return parseEntryId(tail).operationId - 1n;
}
