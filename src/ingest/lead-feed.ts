import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { backoffDelay, sleep } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import { CONDITION_WORDS, conditionOf } from "../horizon/condition.js";
import { HorizonError } from "../horizon/errors.js";
import { endOf } from "../horizon/ledger-watch.js";
import { describeHole, findHistoryHole, mayBeForgottenSince } from "../horizon/reach.js";
import type { RedisClient } from "../redis/client.js";
import { compareKeys, type NetworkMovement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { appendEntries, NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { inSpan } from "../tracing.js";
import type { Feed, FeedPage, FeedPosition, IngestParts } from "./feed.js";
import type { Scanned, Tails } from "./watermark.js";

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

/** Stopped with an alarm: going on would skip credits. */
class HaltedError extends Error {
  override readonly name = "HaltedError";
}

/**
 * Leads a feed's ingest: reads Horizon after the streams' tails, appends what it finds, and begins again from the real
 * tails whenever one of them is not where it left it. It keeps no cursor of its own that it would trust after a surprise:
 * the streams are the cursor, and Postgres knows how far the truth reaches.
 */
export class FeedLeader {
  readonly #parts: IngestParts;
  readonly #feed: Feed;
  readonly #notifier: Notifier;
  readonly #signal: AbortSignal;
  readonly #logger: Logger;
  #failures = 0;

  /** @param notifier is notified of each new ledger */
  constructor(parts: IngestParts, feed: Feed, notifier: Notifier, signal: AbortSignal) {
    this.#parts = parts;
    this.#feed = feed;
    this.#notifier = notifier;
    this.#signal = signal;
    this.#logger = parts.logger.child({ account: feed.name });
  }

  /** Returns when the signal aborts, or the feed has ended. Faults are waited out in here. */
  async run(): Promise<void> {
    const signal = this.#signal;
    while (!signal.aborted) {
      try {
        const position = await this.#feed.resume();
        if (position === null) return;
        await this.#parts.ledgers.first(signal);
        await this.#refuseHole(position.cursor, performance.now() - RESUME_MAX_AGE_MS);
        const { cursor, tails } = position;
        this.#logger.info({ cursor, tails: [...tails.values()] }, "ingest follows the feed");
        await this.#follow(position);
        if (signal.aborted) return;
        this.#logger.warn("the streams are not as this leader left them; starting again from what they say");
      } catch (error) {
        if (signal.aborted) return;
        await this.#waitOut(error);
      }
    }
  }

  /**
   * A server that no longer has the ledgers after the cursor answers as if nothing had happened in them.
   * @param askedAfter the answer must not be older than this moment of `performance.now()`
   * @throws HaltedError instead of letting that happen
   */
  async #refuseHole(cursor: OperationId, askedAfter: number): Promise<void> {
    const hole = findHistoryHole(cursor, await this.#parts.network.since(askedAfter, this.#signal));
    if (hole === null) return;
    const why = describeHole(hole);
    await this.#feed.halt(why);
    throw new HaltedError(why);
  }

  /** Appends page after page. Returns when a stream turned out to end somewhere else, or there are other streams now. */
  async #follow({ cursor: begin, tails: found }: FeedPosition): Promise<void> {
    const feed = this.#feed;
    const { ledgers, network, observer } = this.#parts;
    let [cursor, tails] = [begin, found];
    let isBehind = true;
    while (!this.#signal.aborted) {
      this.#notifier.reset();
      const root = await network.current(this.#signal);
      const position = this.#readUpTo(cursor, isBehind);
      // Before the page: what is not on it is in no ledger up to this one.
      const head = ledgers.newest();
      const page = await feed.read(cursor, PAGE_LIMIT, this.#signal);
      const readAt = performance.now();
      // After the page, and only where the server may have forgotten so much since: the root costs a request.
      if (mayBeForgottenSince(root, position, page.cursor)) await this.#refuseHole(position, readAt);
      const appended = await appendPage(this.#parts, feed, tails, page);
      if (appended === null) return;
      tails = appended.tails;
      if (appended.entries > 0) {
        observer?.appended(appended.entries);
        await checkpoint("ingest.after-append");
      }
      cursor = page.cursor;
      this.#failures = 0;
      const scanned = page.isLast && head !== null ? { head, quiet: ledgers.quiet() } : null;
      observer?.read(feed.name, laterOf(cursor, scanned && endOf(scanned.head)));
      if (page.isLast && isBehind) {
        await feed.caughtUp();
        isBehind = false;
      }
      if (!(await feed.advance(tails, scanned))) return;
      if (page.isLast && !(await this.#rest(tails, scanned))) return;
    }
  }

  /** Up to where the feed is known to be read: a quiet one follows the network, or its cursor would be forgotten one day. */
  #readUpTo(cursor: OperationId, isBehind: boolean): OperationId {
    const quiet = isBehind ? null : this.#parts.ledgers.quiet();
    return laterOf(cursor, quiet && endOf(quiet));
  }

  /**
   * Waits for a ledger that has something to read, while the watermark follows the consumers and the ledgers.
   * @returns false where the streams are not as they were left
   */
  async #rest(tails: Tails, read: Scanned | null): Promise<boolean> {
    const { ledgers, observer } = this.#parts;
    const until = performance.now() + READ_ANYWAY_MS;
    let scanned = read;
    let cursor: OperationId | null = null;
    while (!this.#signal.aborted && performance.now() < until) {
      if (await this.#notifier.wait(WATERMARK_EVERY_MS, this.#signal)) {
        const newest = ledgers.newest();
        if (read === null || newest === null || !ledgers.isQuietSince(read.head)) return true;
        this.#notifier.reset();
        scanned = { head: newest, quiet: ledgers.quiet() };
        cursor = endOf(newest);
      }
      if (!(await this.#feed.advance(tails, scanned))) return false;
      if (cursor !== null) observer?.read(this.#feed.name, cursor);
    }
    return true;
  }

  async #waitOut(error: unknown): Promise<void> {
    const failures = this.#failures++;
    if (error instanceof HaltedError) {
      this.#logger.error({ alarm: true }, `ingest HALTED: ${error.message}`);
      await sleep(HALTED_PAUSE_MS, this.#signal);
      return;
    }
    const delay = backoffDelay(failures, Math.random(), RETRY);
    if (error instanceof HorizonError) {
      const condition = conditionOf(error);
      const isNews = this.#parts.ledgers.condition.failed(error);
      // One line an outage, whatever the number of accounts; our own mistake does not go away by itself and is said each time.
      const level = condition === null ? "error" : isNews ? "warn" : "debug";
      const what =
        condition === null ? "Horizon refuses what ingest asks; trying again" : CONDITION_WORDS[condition];
      this.#logger[level]({ err: error, failures }, what);
      await sleep(Math.max(delay, error.retryAfterMs ?? 0), this.#signal);
      return;
    }
    this.#logger.error({ err: error, failures }, "ingest failed; trying again from the stream's tail");
    await sleep(delay, this.#signal);
  }
}

function laterOf(a: OperationId, b: OperationId | null): OperationId {
  return b !== null && b > a ? b : a;
}

/**
 * Appends what a page has brought to the feed's streams, each by its own tail.
 * @param tails of all the feed's streams
 * @returns the tails now; null where one of the streams ends elsewhere: then nobody knows what it has, and the leader
 *   must begin again from what the streams say
 */
async function appendPage(
  { redis, dataSource }: { readonly redis: RedisClient; readonly dataSource: DataSource },
  feed: Feed,
  tails: Tails,
  { movements, cursor }: FeedPage,
): Promise<{ tails: Tails; entries: number } | null> {
  const streams = [...tails.keys()];
  const routed = Map.groupBy(movements, (movement) => feed.streamFor(movement, streams));
  const batches = [...tails].flatMap(([stream, tail]) => {
    const batch = batchFor(tail, routed.get(stream) ?? [], feed.marksStreams ? cursor : null);
    return batch === null ? [] : [{ stream, tail, ...batch }];
  });
  if (batches.length === 0) return { tails, entries: 0 };
  const entries = batches.reduce((sum, { fresh }) => sum + fresh.length, 0);
  if (entries > 0) await checkpoint("ingest.before-append");
  const facts = { account: feed.name, streams: batches.length, entries };
  const { version } = feed;
  const key = await entryKeyring(dataSource).signing();
  const answers = await inSpan("ingest append", { kind: "producer", facts }, ({ parent: traceParent }) =>
    Promise.all(
      batches.map(async ({ stream, tail, fresh, readThrough }) => {
        const options = { key, traceParent, readThrough, ...(version !== null && { version }) };
        return { stream, ...(await appendEntries(redis, stream, tail, fresh, options)) };
      }),
    ),
  );
  if (!answers.every(({ appended }) => appended)) return null;
  return {
    tails: new Map([...tails, ...answers.map(({ stream, tail }) => [stream, tail] as const)]),
    entries,
  };
}

/**
 * What of a page is new to a stream.
 * @param cursor the page's, where streams are marked as read up to it
 * @returns null where there is nothing to say
 */
function batchFor(
  tail: Tail,
  movements: readonly NetworkMovement[],
  cursor: OperationId | null,
): { fresh: readonly NetworkMovement[]; readThrough: OperationId | null } | null {
  const known = tail === NO_TAIL ? null : parseEntryId(tail);
  const fresh = known === null ? movements : movements.filter((movement) => compareKeys(movement, known) > 0);
  // Never back: a page that was read again for another stream must not make this one forget what it has.
  const isNews = cursor !== null && (known === null || cursor > known.operationId);
  const readThrough = isNews || fresh.length > 0 ? cursor : null;
  return fresh.length === 0 && readThrough === null ? null : { fresh, readThrough };
}

/** Wakes one waiter. A notification while nobody waits is kept, so that it can't be missed between two waits. */
export class Notifier {
  #isNotified = false;
  #wake: () => void = () => undefined;

  notify(): void {
    this.#isNotified = true;
    this.#wake();
  }

  /** Forgets earlier notifications: what is fetched after this covers them. */
  reset(): void {
    this.#isNotified = false;
  }

  /** @returns true as soon as it is notified; false after `ms`, or when `signal` aborts */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#isNotified || signal.aborted) return this.#isNotified;
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
    return this.#isNotified;
  }
}
