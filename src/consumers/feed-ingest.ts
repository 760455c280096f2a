import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { backoffDelay, sleep } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import type { HorizonClient, HorizonRoot } from "../horizon/client.js";
import { HorizonError } from "../horizon/errors.js";
import { describeHole, findHistoryHole } from "../horizon/history-hole.js";
import type { NetworkView } from "../horizon/network-view.js";
import { UNSAID_LAG_MS } from "../horizon/reach.js";
import type { ReadPage } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import { NO_TAIL, type Tail } from "./append-entries.js";
import { appendPage, type FedPage, type Lanes, type Tails } from "./append-page.js";
import type { Bell } from "./bell.js";
import { parseEntryId } from "./entry.js";
import type { IngestObserver } from "./observers.js";
import type { FeedName } from "./stream-keys.js";
import type { Scanned } from "./watermark.js";

export type IngestParts = {
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  readonly network: NetworkView;
  readonly logger: Logger;
  /** How long to trust a silent doorbell before asking for a page anyway, in milliseconds. */
  readonly pollMs: number;
  readonly observer?: IngestObserver;
};

/** Horizon's largest page. */
const PAGE_LIMIT = 200;

/** At rest, how often the watermark follows the consumers. */
const WATERMARK_EVERY_MS = 1_000;

/** A halted feed is looked at again after this time: another server may fill the hole. */
const HALTED_PAUSE_MS = 15_000;

/** Ledgers that a server may forget in one go, about a day's: its reaper works in large steps. */
const TRIMMED_AT_ONCE = 20_000;

const RETRY = { baseMs: 200, maxMs: 10_000 };

/** What a leader reads into streams: one account's payments, or those of the whole network. */
export type Feed = {
  readonly name: FeedName;
  /** Finds where to go on, from what the streams and Postgres say; null where there is nothing to read any more. */
  resume(): Promise<Standing | null>;
  /** Records why it is stopped; the next move of its watermark clears it. */
  halt(why: string): Promise<void>;
};

/** Where the leader stands: it has appended everything up to `cursor`, and the streams end at `tails`. */
export type Standing = {
  readonly cursor: OperationId;
  readonly tails: Tails;
  readonly lanes: Lanes;
  /** @throws HorizonError */
  read(
    after: OperationId,
    limit: number,
    signal: AbortSignal,
  ): Promise<Omit<ReadPage, "movements"> & FedPage>;
  /**
   * Moves the watermark to what the streams prove.
   * @param tails the caller's last appends
   * @returns false where they are not as they were left any more, or are not the feed's streams: begin again
   */
  advance(tails: Tails, scanned: Scanned | null): Promise<boolean>;
  /** Called once the page that was the last has been appended. */
  caughtUp?(): Promise<void>;
};

/** Stopped with an alarm: going on would skip credits. */
class HaltedError extends Error {
  override readonly name = "HaltedError";
}

/**
 * Leads a feed's ingest: reads Horizon after the streams' tails, appends what it finds, and begins again from the real
 * tails whenever one of them is not where it left it. It keeps no cursor of its own that it would trust after a surprise:
 * the streams are the cursor, and Postgres knows how far the truth reaches.
 *
 * Returns when `signal` aborts, or the feed has ended. Faults are waited out in here.
 */
export async function ingestFeed(
  parts: IngestParts,
  feed: Feed,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const logger = parts.logger.child({ account: feed.name });
  let failures = 0;
  while (!signal.aborted) {
    try {
      const standing = await feed.resume();
      if (standing === null) return;
      await refuseHole(parts, feed, standing.cursor, signal);
      logger.info(
        { cursor: standing.cursor, tails: [...standing.tails.values()] },
        "ingest follows the feed",
      );
      await follow(parts, feed, standing, bell, signal, () => {
        failures = 0;
      });
      if (signal.aborted) return;
      logger.warn("the streams are not as this leader left them; starting again from what they say");
    } catch (error) {
      if (signal.aborted) return;
      await waitOut(parts, feed, error, failures++, signal);
    }
  }
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

/**
 * A server that no longer has the ledgers after the cursor answers as if nothing had happened in them.
 * @throws HaltedError instead of letting that happen
 */
async function refuseHole(
  parts: IngestParts,
  feed: Feed,
  cursor: OperationId,
  signal: AbortSignal,
): Promise<void> {
  let root = await parts.network.current(signal);
  // Near the server's oldest ledger a root that is seconds old proves nothing: ask for the one of now.
  if (ledgerOf(cursor) < root.historyElderLedger + TRIMMED_AT_ONCE)
    root = await parts.network.refresh(signal);
  const hole = findHistoryHole(cursor, root);
  if (hole === null) return;
  const why = describeHole(hole);
  await feed.halt(why);
  throw new HaltedError(why);
}

/** Appends page after page. Returns when a stream turned out to end somewhere else, or there are other streams now. */
async function follow(
  parts: IngestParts,
  feed: Feed,
  standing: Standing,
  bell: Bell,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  let { cursor, tails } = standing;
  let isBehind = true;
  while (!signal.aborted) {
    bell.reset();
    const view = await parts.network.current(signal);
    const page = await standing.read(cursor, PAGE_LIMIT, signal);
    // After the page: what was missing from it can only have been missing before.
    await refuseHole(parts, feed, cursor, signal);
    const appended = await appendPage(parts.redis, standing.lanes, tails, page, () =>
      checkpoint("ingest.before-append"),
    );
    if (appended === null) return;
    tails = appended.tails;
    if (appended.entries > 0) {
      parts.observer?.appended(appended.entries);
      await checkpoint("ingest.after-append");
    }
    cursor = page.cursor;
    onProgress();
    const through = page.isLast ? page.latestLedger : null;
    parts.observer?.read(feed.name, through === null ? cursor : endOfLedger(through));
    const scanned = page.isLast ? scannedBy(page.latestLedger, view) : null;
    if (page.isLast && isBehind) {
      await standing.caughtUp?.();
      isBehind = false;
    }
    if (!(await standing.advance(tails, scanned))) return;
    if (page.isLast && !(await rest(parts, standing, tails, scanned, bell, signal))) return;
  }
}

/**
 * What a last page tells. A server that does not say how far it is proves nothing about ledgers, so that the watermark
 * stays; sessions may expire all the same by what it must have had, since a payment in time counts even after that.
 * @param root asked before the page
 */
function scannedBy(through: LedgerSequence | null, root: HorizonRoot): Scanned {
  const { historyLatestLedger: ledger, historyLatestClosedAt: at } = root;
  if (through === null) {
    return { through, closed: at && { ledger, at: new Date(at.getTime() - UNSAID_LAG_MS) } };
  }
  return { through, closed: at && { ledger, at } };
}

/** Waits for the doorbell or the poll time, while the watermark follows the consumers. */
async function rest(
  parts: IngestParts,
  standing: Standing,
  tails: Tails,
  scanned: Scanned | null,
  bell: Bell,
  signal: AbortSignal,
): Promise<boolean> {
  const until = performance.now() + parts.pollMs;
  while (!signal.aborted && performance.now() < until) {
    if (await bell.wait(Math.min(WATERMARK_EVERY_MS, parts.pollMs), signal)) return true;
    if (!(await standing.advance(tails, scanned))) return false;
  }
  return true;
}

async function waitOut(
  parts: IngestParts,
  feed: Feed,
  error: unknown,
  failures: number,
  signal: AbortSignal,
): Promise<void> {
  const logger = parts.logger.child({ account: feed.name });
  if (error instanceof HaltedError) {
    logger.error({ alarm: true }, `ingest HALTED: ${error.message}`);
    await sleep(HALTED_PAUSE_MS, signal);
    return;
  }
  const delay = backoffDelay(failures, Math.random(), RETRY);
  if (error instanceof HorizonError) {
    // Our own mistake does not go away by itself, but stopping for good would need a restart to notice a fix.
    logger[error.retryable ? "warn" : "error"](
      { err: error, failures },
      "Horizon can't serve now; trying again",
    );
    await sleep(Math.max(delay, error.retryAfterMs ?? 0), signal);
    return;
  }
  logger.error({ err: error, failures }, "ingest failed; trying again from the stream's tail");
  await sleep(delay, signal);
}
