import { sleep, within } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import { LockLostError, LockUnavailableError } from "../locks/redlock-adapter.js";
import { databaseFault } from "../postgres/database-errors.js";
import { holdOn, isNoGroupError, isNoStreamError, removeConsumer } from "../stream/consumer-group.js";
import type { EntryRef, RawEntry, StreamEntry } from "../stream/entry.js";
import { refuseForged } from "../stream/forged-entries.js";
import { BlockedEntries, type BlockedFigures } from "./blocked-entries.js";
import { settleAroundLocks } from "./settle-around-locks.js";
import type { SettlingParts } from "./settle-batch.js";
import { ReadableStreams, receiveEntries, type StreamReader } from "./stream-reader.js";
import { sweepIfPossible } from "./sweep.js";
import { takeBatch } from "./take-batch.js";

export type ConsumerOptions = SettlingParts & {
  /** Reads under `name`. */
  readonly reader: StreamReader;
  /** Unique in the group, for ever: two processes under one name would mix up their pending entries. */
  readonly name: string;
  /** Entries of one transaction at the most. */
  readonly batch: number;
  /** Batches in hand at the same time at the most. */
  readonly inFlight?: number;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  /** How long a read waits for new entries; also how long a stop can take at rest. */
  readonly blockMs?: number;
};

/**
 * While Postgres works on one batch, or waits for the disk, this process decodes and locks the next and acknowledges the
 * last: with one alone each of the two waits for the other.
 */
const IN_FLIGHT = 3;

/**
 * Entries that are worth a transaction beside another one. Fewer wait until that has ended, a few milliseconds, and are
 * settled together: at a moderate rate many small transactions would take the processor from each other.
 */
const WORTH_ANOTHER = 32;

/**
 * How long a read waits while there is something in hand: entries whose sessions another replica holds are tried again,
 * and a batch that failed is seen, at the latest after this.
 */
const IN_HAND_PAUSE_MS = 25;

/** The same while nothing is in hand but what waits for a row that somebody has locked. */
const BLOCKED_PAUSE_MS = 500;

/** Entries that a log line names. */
const LOGGED = 20;

/** How long a stop waits until its name is out of the groups. */
const LEAVE_WITHIN_MS = 3_000;

/** Longest pause between tries while a server is away. */
const MAX_OUTAGE_PAUSE_MS = 2_000;

/** Entries that are being settled. `ended` never rejects. */
type Batch = {
  readonly entries: readonly StreamEntry[];
  readonly begunAt: number;
  readonly ended: Promise<void>;
};

/**
 * One replica of the consumer group. The loop: read what is there, settle it in one transaction, acknowledge,
 * repeat, with the next ones on their way meanwhile; batches grow with load by themselves. Everything it holds in
 * memory is also pending in Redis, and everything in Redis can be fetched from Horizon again.
 */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  readonly #streams: ReadableStreams;
  #sweptAt = Number.NEGATIVE_INFINITY;
  /** Read and not verified yet, or forged and not refused yet. */
  #received: RawEntry[] = [];
  /** Decoded and not begun: the next batch, contended entries, what an outage has put back. */
  #waiting: StreamEntry[] = [];
  readonly #inFlight = new Set<Batch>();
  readonly #blocked: BlockedEntries;
  #retrying: Promise<void> | null = null;
  /** What a batch has thrown since the loop last looked. */
  #fault: unknown = null;
  #inHandSince = 0;
  /** How many entries the last read has brought. */
  #lastRead = 0;
  #failures = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#streams = new ReadableStreams(options);
    this.#blocked = new BlockedEntries(options.dataSource);
  }

  /** What waits for rows that somebody keeps locked; nothing where nothing does. */
  figures(): BlockedFigures {
    return this.#blocked.figures();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops reading, finishes what is in hand, acknowledges it, and leaves the group if nothing is pending. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    const { redis, name } = this.#options;
    // Not for as long as each of many streams may take that are on a server that is gone: a sweep removes the name too.
    const left = this.#streams.all.map((stream) => removeConsumer(redis, stream, name).catch(() => false));
    await within(LEAVE_WITHIN_MS, Promise.all(left), []);
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#streams.refresh();
        await this.#sweepWhenDue();
        await this.#readMore();
        await this.#decode();
        this.#retryBlocked();
        this.#beginBatches();
        await this.#refuseForged();
        await this.#untilRoom();
        await this.#keepClaim();
        if (this.#inHand === 0) this.#failures = 0;
      } catch (error) {
        await this.#standBack(error);
      }
    }
    await this.#finish();
  }

  /** Tries the entries in hand once more; if a server is away, another replica takes them over. */
  async #finish(): Promise<void> {
    await this.#retrying;
    await this.#untilEnded();
    const read = await this.#options.reader.finish();
    this.#hold(this.#received, read);
    // What can't be verified now stays pending, for another replica.
    await this.#decode().catch(() => undefined);
    this.#fault = null;
    const tries = Math.ceil(this.#waiting.length / this.#options.batch);
    for (let i = 0; i < tries; i++) {
      this.#beginBatches();
      await this.#untilEnded();
    }
  }

  /** Takes over what dead replicas left, twice in each claim time. */
  async #sweepWhenDue(): Promise<void> {
    const { claimIdleMs, name, maxDeliveries, batch } = this.#options;
    if (performance.now() - this.#sweptAt < claimIdleMs / 2) return;
    this.#sweptAt = performance.now();
    const options = { consumer: name, claimIdleMs, maxDeliveries, count: batch };
    for (const stream of this.#streams.all) {
      const taken = await sweepIfPossible(this.#options, stream, options);
      this.#hold(this.#waiting, taken);
    }
  }

  async #readMore(): Promise<void> {
    const { reader, batch, claimIdleMs, blockMs = 2_000 } = this.#options;
    const room = batch - this.#waiting.length - this.#received.length;
    if (room <= 0) return;
    if (this.#streams.all.length === 0) return sleep(blockMs / 4, this.#stopping.signal);
    // Blocked entries are tried again, and held on to, while nothing new comes.
    const atRest = this.#blocked.size > 0 ? Math.min(blockMs, claimIdleMs / 4, BLOCKED_PAUSE_MS) : blockMs;
    const wait = this.#inHand > 0 ? IN_HAND_PAUSE_MS : Math.floor(atRest);
    const entries = await reader.read(this.#streams.all, room, wait);
    this.#lastRead = entries.length;
    this.#hold(this.#received, entries);
    if (this.#received.length + this.#waiting.length > 0) await checkpoint("consumer.after-read");
  }

  /** Verifies and decodes what was read. @throws the error of Postgres or Redis: all of it is tried again */
  async #decode(): Promise<void> {
    if (this.#received.length === 0) return;
    const { entries, forged } = await receiveEntries(this.#options, this.#received);
    this.#waiting.push(...entries);
    this.#received = forged;
  }

  /** After its neighbours have been begun: the stream begins anew by it, and one that can't be refused holds up nothing. */
  async #refuseForged(): Promise<void> {
    if (this.#received.length === 0) return;
    await refuseForged(this.#options, this.#received);
    this.#received = [];
  }

  /** A read brings up to one batch of each stream: many accounts must not become one huge transaction. */
  #beginBatches(): void {
    const { batch: size, inFlight = IN_FLIGHT } = this.#options;
    this.#waiting = this.#blocked.behind(this.#waiting);
    while (this.#inFlight.size < inFlight) {
      const underWay = [...this.#inFlight].flatMap(({ entries }) => entries);
      const { batch, rest } = takeBatch(this.#waiting, underWay, size);
      if (batch.length === 0 || (batch.length < Math.min(size, WORTH_ANOTHER) && this.#endsSoon())) return;
      this.#waiting = rest;
      this.#begin(batch);
    }
  }

  #begin(entries: readonly StreamEntry[]): void {
    const begun: Batch = {
      entries,
      begunAt: performance.now(),
      ended: this.#settle(entries).then((setAside) => this.#end(begun, setAside)),
    };
    this.#inFlight.add(begun);
  }

  /** Those whose rows are free again go to the front. One that waits for nobody knows what holds up nothing but itself. */
  #retryBlocked(): void {
    if (this.#blocked.size === 0) return;
    this.#retrying ??= this.#blocked
      .takeFree()
      .then(({ free, alone }) => {
        this.#waiting.unshift(...free);
        if (alone.length > 0) this.#begin(alone);
      })
      .catch((error: unknown) => {
        this.#options.logger.debug({ err: error }, "can't ask who is blocked; asking again");
      })
      .finally(() => {
        this.#retrying = null;
      });
  }

  /** Whether a few entries do better to wait for what is in flight: not for a batch that is held up. */
  #endsSoon(): boolean {
    return [...this.#inFlight].some(({ begunAt }) => performance.now() - begunAt < IN_HAND_PAUSE_MS);
  }

  /** @returns what was not settled; never throws */
  async #settle(batch: readonly StreamEntry[]): Promise<readonly StreamEntry[]> {
    try {
      const { setAside, blocked } = await settleAroundLocks(this.#options, batch);
      this.#failures = 0;
      if (blocked.length > 0) this.#setBlocked(blocked);
      return setAside;
    } catch (error) {
      this.#fault ??= error;
      return batch;
    }
  }

  #setBlocked(blocked: readonly StreamEntry[]): void {
    this.#blocked.add(blocked);
    const entries = blocked.slice(0, LOGGED).map(({ id }) => id);
    this.#options.logger.warn(
      { entries, blocked: this.#blocked.size },
      "somebody keeps rows locked that these credits need: they wait, and the others go on",
    );
  }

  #end(batch: Batch, left: readonly StreamEntry[]): void {
    this.#inFlight.delete(batch);
    // To the front, where nothing of its sessions can overtake it.
    this.#waiting.unshift(...left);
    // The loop may be waiting for more entries. What was left is tried again at the loop's pace.
    if (left.length === 0 && this.#fault === null) this.#beginBatches();
  }

  /**
   * Waits until a batch ends, where the next one is full and can't begin; and for a moment where the streams were as good
   * as read out: what comes meanwhile is read together. @throws what a batch has thrown
   */
  async #untilRoom(): Promise<void> {
    const ended = [...this.#inFlight].map((batch) => batch.ended);
    if (ended.length > 0) {
      if (this.#waiting.length >= this.#options.batch) await Promise.race(ended);
      else if (this.#lastRead < WORTH_ANOTHER) await within(IN_HAND_PAUSE_MS, Promise.race(ended), undefined);
    }
    if (this.#fault !== null) throw this.#fault;
  }

  async #untilEnded(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all([...this.#inFlight].map(({ ended }) => ended));
  }

  get #inHand(): number {
    let entries = this.#received.length + this.#waiting.length;
    for (const batch of this.#inFlight) entries += batch.entries.length;
    return entries;
  }

  /** Adds to one of the queues what is not in hand yet: a sweep may claim what this consumer has read itself. */
  #hold<E extends EntryRef>(queue: E[], entries: readonly E[]): void {
    if (entries.length === 0) return;
    if (this.#inHand === 0) this.#inHandSince = performance.now();
    const known = new Set(this.#everythingInHand().map(idOf));
    queue.push(...entries.filter((entry) => !known.has(idOf(entry))));
  }

  #everythingInHand(): EntryRef[] {
    const inFlight = [...this.#inFlight].flatMap(({ entries }) => entries);
    return [...inFlight, ...this.#received, ...this.#waiting, ...this.#blocked.entries()];
  }

  /** Resets the idle time of the entries in hand, so that they don't count as abandoned. */
  async #keepClaim(): Promise<void> {
    if (this.#inHand + this.#blocked.size === 0) return;
    if (performance.now() - this.#inHandSince < this.#options.claimIdleMs / 3) return;
    this.#inHandSince = performance.now();
    await holdOn(this.#options.redis, this.#options.name, this.#everythingInHand());
  }

  /** After a failure: says what it means, once per outage, and waits before the next round. */
  async #standBack(error: unknown): Promise<void> {
    const { logger } = this.#options;
    // One outage is one failure, however many batches it caught.
    await this.#untilEnded();
    this.#fault = null;
    this.#failures++;
    if (isNoGroupError(error) || isNoStreamError(error)) {
      if (isNoGroupError(error))
        logger.warn("a consumer group is gone: Redis lost its data, or the stream is not needed any more");
      await this.#streams.remakeGroups();
    } else if (error instanceof LockLostError) {
      logger.warn({ err: error }, "lock lost in the middle; the batch is tried again");
    } else if (this.#failures === 1) {
      const what =
        databaseFault(error) !== null
          ? "the database can't serve; nothing is acknowledged until it can"
          : error instanceof LockUnavailableError
            ? "no lock quorum and LOCKS=required; waiting"
            : "the batch failed; it is tried again";
      logger.error({ err: error, inHand: this.#inHand }, what);
    }
    await this.#keepClaim().catch(() => undefined);
    await sleep(Math.min(MAX_OUTAGE_PAUSE_MS, 20 * 2 ** this.#failures), this.#stopping.signal);
  }
}

function idOf({ stream, id }: EntryRef): string {
  return `${stream} ${id}`;
}
