import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { within } from "../backoff.js";
import type { RedisClient } from "../redis/client.js";
import { ensureGroup, isNoStreamError, readNew } from "../stream/consumer-group.js";
import { decodeEntry, type RawEntry, type StreamEntry } from "../stream/entry.js";
import { type RefusingParts, separateForged } from "../stream/forged-entries.js";
import type { StreamName } from "../stream/stream-keys.js";
import { watchedStreams } from "../stream/streams.js";
import { deadLetterUnnamed } from "./dead-letters.js";

/** Waits for entries that nobody in the group has read yet. */
export interface StreamReader {
  /**
   * @param count entries of each stream at the most
   * @param waitMs returns with nothing after so many milliseconds
   * @throws the NOGROUP error where a group is gone; what Redis says otherwise
   */
  read(streams: readonly StreamName[], count: number, waitMs: number): Promise<readonly RawEntry[]>;
  /** Asks no more. @returns what reads that are under way still bring, which nobody else would for a while */
  finish(): Promise<readonly RawEntry[]>;
}

/** All streams in one XREADGROUP, on a connection of its own: one server holds them all. */
export class OneServerReader implements StreamReader {
  readonly #redis: RedisClient;
  readonly #consumer: string;

  constructor(redis: RedisClient, consumer: string) {
    this.#redis = redis;
    this.#consumer = consumer;
  }

  async read(streams: readonly StreamName[], count: number, waitMs: number): Promise<readonly RawEntry[]> {
    return renewedIfDead(this.#redis, () => readNew(this.#redis, this.#consumer, streams, count, waitMs));
  }

  async finish(): Promise<readonly RawEntry[]> {
    return [];
  }
}

/** How much later than its time a read may end and still be waited for. */
const LATE_MS = 500;

/** One read under way, on a connection of its own. */
type Reading = { readonly redis: RedisClient; under: Promise<void> | null };

/**
 * One XREADGROUP for each stream: of a cluster no command can name two slots. Each waits on a connection of its own for as
 * long as it may, across several calls of `read`, since a short wait would be a question every few milliseconds for each.
 */
export class ClusterReader implements StreamReader {
  readonly #connect: () => RedisClient;
  readonly #consumer: string;
  readonly #blockMs: number;
  readonly #readings = new Map<StreamName, Reading>();
  #arrived: RawEntry[] = [];
  #fault: unknown = null;
  #wake: () => void = () => undefined;

  /** @param blockMs how long one read waits; also how long `finish` may take */
  constructor(connect: () => RedisClient, consumer: string, blockMs: number) {
    this.#connect = connect;
    this.#consumer = consumer;
    this.#blockMs = blockMs;
  }

  async read(streams: readonly StreamName[], count: number, waitMs: number): Promise<readonly RawEntry[]> {
    this.#leaveAllBut(new Set(streams));
    for (const stream of streams) this.#begin(stream, count);
    if (this.#arrived.length === 0 && this.#fault === null) await this.#somethingWithin(waitMs);
    const fault = this.#fault;
    this.#fault = null;
    // What has arrived is pending under this consumer's name: it must be settled whatever else went wrong.
    if (this.#arrived.length === 0 && fault !== null) throw fault;
    return this.#take();
  }

  async finish(): Promise<readonly RawEntry[]> {
    const ending = Promise.all([...this.#readings.values()].map(({ under }) => under));
    // A node that is gone answers no read: what it still had for us is claimed by others once it is back.
    await within(this.#blockMs + LATE_MS, ending, []);
    this.#leaveAllBut(new Set());
    return this.#take();
  }

  #begin(stream: StreamName, count: number): void {
    const reading = this.#readings.get(stream) ?? { redis: this.#connect(), under: null };
    this.#readings.set(stream, reading);
    if (reading.under !== null) return;
    const { redis } = reading;
    reading.under = renewedIfDead(redis, () => readNew(redis, this.#consumer, [stream], count, this.#blockMs))
      .then((entries) => void this.#arrived.push(...entries))
      .catch((error: unknown) => {
        // A stream that was left has no connection any more, and nobody waits for it.
        if (this.#readings.get(stream) === reading) this.#fault ??= error;
      })
      .finally(() => {
        reading.under = null;
        if (this.#arrived.length > 0 || this.#fault !== null) this.#wake();
      });
  }

  #somethingWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #leaveAllBut(wanted: ReadonlySet<StreamName>): void {
    for (const [stream, { redis }] of this.#readings) {
      if (wanted.has(stream)) continue;
      this.#readings.delete(stream);
      redis.disconnect();
    }
  }

  #take(): readonly RawEntry[] {
    const arrived = this.#arrived;
    this.#arrived = [];
    return arrived;
  }
}

/** An answer that is late means that the socket may be dead, and a dead one would hang every time: a new one is taken. */
async function renewedIfDead<T>(redis: RedisClient, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Error && error.message === "Command timed out") redis.disconnect(true);
    throw error;
  }
}

/** New accounts and new shards are noticed within this time. */
const REFRESH_MS = 2_000;

/**
 * The watched streams whose group is there. It leaves out streams whose key holds something else: Redis answers no command
 * that names such a key among others, so that nobody's credits would be read. Each is reported once, and tried again with
 * every look.
 */
export class ReadableStreams {
  readonly #redis: RedisClient;
  readonly #dataSource: DataSource;
  readonly #logger: Logger;
  readonly #unreadable = new Set<StreamName>();
  #all: readonly StreamName[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor({ redis, dataSource, logger }: { redis: RedisClient; dataSource: DataSource; logger: Logger }) {
    this.#redis = redis;
    this.#dataSource = dataSource;
    this.#logger = logger;
  }

  get all(): readonly StreamName[] {
    return this.#all;
  }

  /** Looks which streams are watched now. @throws what Postgres or Redis says */
  async refresh(): Promise<void> {
    if (performance.now() - this.#readAt < REFRESH_MS) return;
    const streams = await watchedStreams(this.#dataSource.manager);
    this.#all = await this.#among(streams, new Set(this.#all));
    this.#readAt = performance.now();
  }

  /** Makes all groups anew, after one of them was gone. Never throws. */
  async remakeGroups(): Promise<void> {
    // First which streams there are now: making the group of one that was removed would bring it back for ever.
    const streams = await watchedStreams(this.#dataSource.manager).catch(() => this.#all);
    this.#all = await this.#among(streams, new Set()).catch(() => streams);
  }

  /**
   * @param known their groups were made before
   * @returns those whose group is there now
   * @throws what Redis says otherwise
   */
  async #among(streams: readonly StreamName[], known: ReadonlySet<StreamName>): Promise<StreamName[]> {
    const readable: StreamName[] = [];
    for (const stream of streams) {
      try {
        if (!known.has(stream)) await ensureGroup(this.#redis, stream);
        readable.push(stream);
        this.#unreadable.delete(stream);
      } catch (error) {
        if (!isNoStreamError(error)) throw error;
        this.#report(stream);
      }
    }
    return readable;
  }

  #report(stream: StreamName): void {
    if (this.#unreadable.has(stream)) return;
    this.#unreadable.add(stream);
    this.#logger.error(
      { alarm: true, stream },
      "a stream's key holds something else: delete it, ingest writes the stream anew",
    );
  }
}

/**
 * Verifies and decodes what Redis gave, once: after this no entry is parsed again.
 * @returns the decoded entries, and the forged ones for `refuseForged`. Refuse those last: the stream begins anew by it
 * @throws the error of Postgres or Redis: nothing is lost, call again
 */
export async function receiveEntries(
  parts: RefusingParts,
  received: readonly RawEntry[],
): Promise<{ entries: StreamEntry[]; forged: RawEntry[] }> {
  if (received.length === 0) return { entries: [], forged: [] };
  const { genuine, forged } = await separateForged(parts.dataSource, received);
  return { entries: await decodeGenuine(parts, genuine), forged };
}

/** Decodes entries that are known to be genuine; those that name no account go to the dead letters. */
export async function decodeGenuine(
  parts: RefusingParts,
  genuine: readonly RawEntry[],
): Promise<StreamEntry[]> {
  const entries: StreamEntry[] = [];
  const unnamed: RawEntry[] = [];
  for (const raw of genuine) {
    const entry = decodeEntry(raw);
    if (entry === null) unnamed.push(raw);
    else entries.push(entry);
  }
  await deadLetterUnnamed(parts, unnamed);
  return entries;
}
