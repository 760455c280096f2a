import { sleep, within } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import { LockLostError, LockUnavailableError } from "../locks/redlock-adapter.js";
import { databaseFault } from "../postgres/database-errors.js";
import {
  type Delivery,
  holdOn,
  isNoGroupError,
  isNoStreamError,
  removeConsumer,
} from "../stream/consumer-group.js";
import type { StreamName } from "../stream/stream-keys.js";
import { watchedStreams } from "../stream/streams.js";
import { BlockedDeliveries, type BlockedFigures } from "./blocked-entries.js";
import { settleAroundLocks } from "./settle-around-locks.js";
import type { SettlingParts } from "./settle-batch.js";
import type { StreamReader } from "./stream-reader.js";
import { ReadableStreams } from "./stream-reader.js";
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

/** New accounts and new shards are noticed within this time. */
const REFRESH_STREAMS_MS = 2_000;

/** How long a stop waits until its name is out of the groups. */
const LEAVE_WITHIN_MS = 3_000;

/** Longest pause between tries while a server is away. */
const MAX_OUTAGE_PAUSE_MS = 2_000;

/** Entries that are being settled. `ended` never rejects. */
type Batch = {
  readonly deliveries: readonly Delivery[];
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
  #streams: readonly StreamName[] = [];
  readonly #readable: ReadableStreams;
  #streamsReadAt = Number.NEGATIVE_INFINITY;
  #sweptAt = Number.NEGATIVE_INFINITY;
  /** Read and not begun: the next batch, contended entries, what an outage has put back. */
  #waiting: Delivery[] = [];
  readonly #inFlight = new Set<Batch>();
  readonly #blocked: BlockedDeliveries;
  #retrying: Promise<void> | null = null;
  /** What a batch has thrown since the loop last looked. */
  #fault: unknown = null;
  #inHandSince = 0;
  /** How many entries the last read has brought. */
  #lastRead = 0;
  #failures = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#readable = new ReadableStreams(options);
    this.#blocked = new BlockedDeliveries(options.dataSource);
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
    const left = this.#streams.map((stream) => removeConsumer(redis, stream, name).catch(() => false));
    await within(LEAVE_WITHIN_MS, Promise.all(left), []);
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#refreshStreams();
        await this.#sweepWhenDue();
        await this.#readMore();
        this.#retryBlocked();
        this.#beginBatches();
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
    this.#hold(await this.#options.reader.finish());
    this.#fault = null;
    const tries = Math.ceil(this.#waiting.length / this.#options.batch);
    for (let i = 0; i < tries; i++) {
      this.#beginBatches();
      await this.#untilEnded();
    }
  }

  async #refreshStreams(): Promise<void> {
    if (performance.now() - this.#streamsReadAt < REFRESH_STREAMS_MS) return;
    const streams = await watchedStreams(this.#options.dataSource.manager);
    this.#streams = await this.#readable.among(streams, new Set(this.#streams));
    this.#streamsReadAt = performance.now();
  }

  /** Takes over what dead replicas left, twice in each claim time. */
  async #sweepWhenDue(): Promise<void> {
    const { claimIdleMs, name, maxDeliveries, batch } = this.#options;
    if (performance.now() - this.#sweptAt < claimIdleMs / 2) return;
    this.#sweptAt = performance.now();
    const options = { consumer: name, claimIdleMs, maxDeliveries, count: batch };
    for (const stream of this.#streams) this.#hold(await sweepIfPossible(this.#options, stream, options));
  }

  async #readMore(): Promise<void> {
    const { reader, batch, claimIdleMs, blockMs = 2_000 } = this.#options;
    const room = batch - this.#waiting.length;
    if (room <= 0) return;
    if (this.#streams.length === 0) return sleep(blockMs / 4, this.#stopping.signal);
    // Blocked entries are tried again, and held on to, while nothing new comes.
    const atRest = this.#blocked.size > 0 ? Math.min(blockMs, claimIdleMs / 4, BLOCKED_PAUSE_MS) : blockMs;
    const wait = this.#inHand > 0 ? IN_HAND_PAUSE_MS : Math.floor(atRest);
    const deliveries = await reader.read(this.#streams, room, wait);
    this.#lastRead = deliveries.length;
    this.#hold(deliveries);
    if (this.#waiting.length > 0) await checkpoint("consumer.after-read");
  }

  /** A read brings up to one batch of each stream: many accounts must not become one huge transaction. */
  #beginBatches(): void {
    const { batch: size, inFlight = IN_FLIGHT } = this.#options;
    this.#waiting = this.#blocked.behind(this.#waiting);
    while (this.#inFlight.size < inFlight) {
      const underWay = [...this.#inFlight].flatMap(({ deliveries }) => deliveries);
      const { batch, rest } = takeBatch(this.#waiting, underWay, size);
      if (batch.length === 0 || (batch.length < Math.min(size, WORTH_ANOTHER) && this.#endsSoon())) return;
      this.#waiting = rest;
      this.#begin(batch);
    }
  }

  #begin(batch: readonly Delivery[]): void {
    const begun: Batch = {
      deliveries: batch,
      begunAt: performance.now(),
      ended: this.#settle(batch).then((setAside) => this.#end(begun, setAside)),
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
  async #settle(batch: readonly Delivery[]): Promise<readonly Delivery[]> {
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

  #setBlocked(blocked: readonly Delivery[]): void {
    this.#blocked.add(blocked);
    const entries = blocked.slice(0, LOGGED).map(({ entry: [id] }) => id);
    this.#options.logger.warn(
      { entries, blocked: this.#blocked.size },
      "somebody keeps rows locked that these credits need: they wait, and the others go on",
    );
  }

  #end(batch: Batch, left: readonly Delivery[]): void {
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
    let entries = this.#waiting.length;
    for (const { deliveries } of this.#inFlight) entries += deliveries.length;
    return entries;
  }

  #hold(deliveries: readonly Delivery[]): void {
    if (deliveries.length === 0) return;
    if (this.#inHand === 0) this.#inHandSince = performance.now();
    const known = new Set(this.#everythingInHand().map(idOf));
    this.#waiting.push(...deliveries.filter((delivery) => !known.has(idOf(delivery))));
  }

  #everythingInHand(): Delivery[] {
    const inFlight = [...this.#inFlight].flatMap(({ deliveries }) => deliveries);
    return [...inFlight, ...this.#waiting, ...this.#blocked.deliveries()];
  }

  /** Tells Redis that the entries in hand are being worked on, so that they don't count as abandoned. */
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
      // First which streams there are now: making the group of one that was removed would bring it back for ever.
      const streams = await watchedStreams(this.#options.dataSource.manager).catch(() => this.#streams);
      this.#streams = await this.#readable.among(streams, new Set()).catch(() => streams);
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

function idOf({ stream, entry }: Delivery): string {
  return `${stream} ${entry[0]}`;
}
