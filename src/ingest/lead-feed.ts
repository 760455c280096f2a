import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { backoffDelay, sleep } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import type { HorizonClient } from "../horizon/client.js";
import { CONDITION_WORDS, conditionOf } from "../horizon/condition.js";
import { HorizonError } from "../horizon/errors.js";
import { endOf, type LedgerWatch } from "../horizon/ledger-watch.js";
import type { NetworkView } from "../horizon/network-view.js";
import type { LedgerHead } from "../horizon/reach.js";
import { describeHole, findHistoryHole, mayBeForgottenSince } from "../horizon/reach.js";
import type { ReadPage } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import type { OperationId } from "../stellar/operation-id.js";
import { NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import type { FeedName } from "../stream/stream-keys.js";
import { appendPage, type FedPage, type Lanes, type Tails } from "./append-page.js";
import type { IngestObserver } from "./ingest-observer.js";
import type { Scanned } from "./watermark.js";

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

/** Horizon's largest page. */
const PAGE_LIMIT = 200;

/** At rest, how often the watermark follows the consumers. */
const WATERMARK_EVERY_MS = 1_000;

/** How old the root may be when a feed begins: many begin at once, and what a page lacks is found after it. */
const RESUME_MAX_AGE_MS = 10_000;

/** A halted feed is looked at again after this time: another server may fill the hole. */
const HALTED_PAUSE_MS = 15_000;

/**
 * A feed is read again after this although no ledger had an operation: a page may have come from a server behind a
 * balancer that was not so far.
 */
const READ_ANYWAY_MS = 300_000;

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
      await parts.ledgers.first(signal);
      await refuseHole(parts, feed, standing.cursor, performance.now() - RESUME_MAX_AGE_MS, signal);
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
 * @param askedAfter the answer must not be older than this moment of `performance.now()`
 * @throws HaltedError instead of letting that happen
 */
async function refuseHole(
  parts: IngestParts,
  feed: Feed,
  cursor: OperationId,
  askedAfter: number,
  signal: AbortSignal,
): Promise<void> {
  const hole = findHistoryHole(cursor, await parts.network.since(askedAfter, signal));
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
  const { ledgers, network, observer } = parts;
  let { cursor, tails } = standing;
  let isBehind = true;
  while (!signal.aborted) {
    bell.reset();
    const root = await network.current(signal);
    const position = positionOf(parts, cursor, isBehind);
    // Before the page: what is not on it is in no ledger up to this one.
    const head = ledgers.newest();
    const page = await standing.read(cursor, PAGE_LIMIT, signal);
    const readAt = performance.now();
    // After the page, and only where the server may have forgotten so much since: the root costs a request.
    if (mayBeForgottenSince(root, position, page.cursor))
      await refuseHole(parts, feed, position, readAt, signal);
    const appended = await appendPage(parts.redis, standing.lanes, tails, page, () =>
      checkpoint("ingest.before-append"),
    );
    if (appended === null) return;
    tails = appended.tails;
    if (appended.entries > 0) {
      observer?.appended(appended.entries);
      await checkpoint("ingest.after-append");
    }
    cursor = page.cursor;
    onProgress();
    const scanned = page.isLast && head !== null ? { head, quiet: ledgers.quiet() } : null;
    observer?.read(feed.name, laterOf(cursor, scanned && endOf(scanned.head)));
    if (page.isLast && isBehind) {
      await standing.caughtUp?.();
      isBehind = false;
    }
    if (!(await standing.advance(tails, scanned))) return;
    if (page.isLast && !(await rest(parts, feed, standing, tails, scanned, bell, signal))) return;
  }
}

/** Up to where the feed is known to be read: a quiet one follows the network, or its cursor would be forgotten one day. */
function positionOf({ ledgers }: IngestParts, cursor: OperationId, isBehind: boolean): OperationId {
  const quiet = isBehind ? null : ledgers.quiet();
  return laterOf(cursor, quiet && endOf(quiet));
}

/** Waits for a ledger that has something to read, while the watermark follows the consumers and the ledgers. */
async function rest(
  parts: IngestParts,
  feed: Feed,
  standing: Standing,
  tails: Tails,
  read: Scanned | null,
  bell: Bell,
  signal: AbortSignal,
): Promise<boolean> {
  const { ledgers, observer } = parts;
  const until = performance.now() + READ_ANYWAY_MS;
  let scanned = read;
  let cursor: OperationId | null = null;
  while (!signal.aborted && performance.now() < until) {
    if (await bell.wait(WATERMARK_EVERY_MS, signal)) {
      const newest: LedgerHead | null = ledgers.newest();
      if (read === null || newest === null || !ledgers.isQuietSince(read.head)) return true;
      bell.reset();
      scanned = { head: newest, quiet: ledgers.quiet() };
      cursor = endOf(newest);
    }
    if (!(await standing.advance(tails, scanned))) return false;
    if (cursor !== null) observer?.read(feed.name, cursor);
  }
  return true;
}

function laterOf(a: OperationId, b: OperationId | null): OperationId {
  return b !== null && b > a ? b : a;
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
    const condition = conditionOf(error);
    const isNews = parts.ledgers.condition.failed(error);
    // One line an outage, whatever the number of accounts; our own mistake does not go away by itself and is said each time.
    const level = condition === null ? "error" : isNews ? "warn" : "debug";
    const what =
      condition === null ? "Horizon refuses what ingest asks; trying again" : CONDITION_WORDS[condition];
    logger[level]({ err: error, failures }, what);
    await sleep(Math.max(delay, error.retryAfterMs ?? 0), signal);
    return;
  }
  logger.error({ err: error, failures }, "ingest failed; trying again from the stream's tail");
  await sleep(delay, signal);
}

/** Wakes one waiter. A ring while nobody waits is kept, so that it can't be missed between two waits. */
export class Bell {
  #rung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Forgets earlier rings: what is fetched after this covers them. */
  reset(): void {
    this.#rung = false;
  }

  /** @returns true as soon as it rings; false after `ms`, or when `signal` aborts */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#rung || signal.aborted) return this.#rung;
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener("abort", wake);
      this.#wake = wake;
    });
    return this.#rung;
  }
}
