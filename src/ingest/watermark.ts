import type { DataSource, EntityManager } from "typeorm";
import { StreamCursor } from "../entities/stream-cursor.js";
import type { LedgerHead } from "../horizon/reach.js";
import { UNSAID_LAG_MS } from "../horizon/reach.js";
import type { RedisClient } from "../redis/client.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type OperationId } from "../stellar/operation-id.js";
import {
  NO_TAIL,
  readPositions,
  type StreamPosition,
  TAIL_OF_STREAM,
  type Tail,
} from "../stream/append-entries.js";
import { closeTimeOf, parseEntryId } from "../stream/entry.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { idIn, isTailSigned } from "../stream/entry-mac.js";
import { beginAnew, type RefusingParts, reportForged, separateForged } from "../stream/forged-entries.js";
import { type StreamName, streamKey, tailProofKey } from "../stream/stream-keys.js";
import { streamsOf } from "../stream/streams.js";

/** Where each stream of a feed ends, as its leader believes. */
export type Tails = ReadonlyMap<StreamName, Tail>;

/** What a last page proves, by ledgers that the server had named before it was asked. */
export type Scanned = {
  /** Every operation up to the end of this ledger that the server had has been fetched and appended. */
  readonly head: LedgerHead;
  /** A ledger so old that every server behind the address must have had it; null while none is known. See reach.ts. */
  readonly quiet: LedgerHead | null;
};

export type Progress = {
  readonly watermark: OperationId;
  /** Every credit up to here is committed that the server had when it was asked; never below the watermark. */
  readonly readThrough: OperationId;
  /** Every credit of a ledger that closed before this moment is committed; null when not known. */
  readonly settledThrough: Date | null;
};

/**
 * What a stream's state proves about the credits that are committed. Entries leave a stream only after
 * their transaction committed, and it has no gaps, so everything before its oldest entry is in Postgres;
 * and once it is empty, everything that was ever appended or scanned is.
 *
 * @param position read by a leader that knows that `position.tail` is its own last append
 */
export function provenProgress(position: StreamPosition, scanned: Scanned | null): Progress {
  if (position.oldest !== null) {
    const { operationId } = parseEntryId(position.oldest.id);
    const before = (operationId - 1n) as OperationId;
    return { watermark: before, readThrough: before, settledThrough: closeTimeOf(position.oldest) };
  }
  const tail = parseEntryId(position.tail).operationId;
  if (scanned === null) return { watermark: tail, readThrough: tail, settledThrough: null };
  const { head, quiet } = scanned;
  const watermark = quiet === null ? tail : later(tail, endOfLedger(quiet.sequence));
  return {
    watermark,
    readThrough: later(watermark, endOfLedger(head.sequence)),
    // The page may have come from a server that was not so far: see UNSAID_LAG_MS.
    settledThrough: new Date(head.closedAt.getTime() - UNSAID_LAG_MS),
  };
}

function later(a: OperationId, b: OperationId): OperationId {
  return a > b ? a : b;
}

/** What several streams prove together: of each account every credit is in one of them. */
export function provenByAll(positions: readonly StreamPosition[], scanned: Scanned | null): Progress {
  return positions
    .map((position) => provenProgress(position, scanned))
    .reduce((a, b) => ({
      watermark: a.watermark < b.watermark ? a.watermark : b.watermark,
      readThrough: a.readThrough < b.readThrough ? a.readThrough : b.readThrough,
      settledThrough: earlier(a.settledThrough, b.settledThrough),
    }));
}

/** What one of the two does not know is not known of both. */
function earlier(a: Date | null, b: Date | null): Date | null {
  return a === null || b === null ? null : a < b ? a : b;
}

/**
 * What the streams prove to a leader.
 * @param tails the caller's last appends
 * @returns null where a stream ends elsewhere: it proves nothing to the caller
 */
export async function provenTo(
  redis: RedisClient,
  tails: Tails,
  scanned: Scanned | null,
): Promise<Progress | null> {
  const positions = await readPositions(redis, [...tails.keys()]);
  if (positions.some(({ stream, tail }) => tail !== tails.get(stream))) return null;
  return provenByAll(positions, scanned);
}

/** Of both kinds of cursors, as parameters after the one that names the cursor. */
export function progressValues({ watermark, settledThrough, readThrough }: Progress): unknown[] {
  return [watermark.toString(), settledThrough?.toISOString() ?? null, readThrough.toString()];
}

/**
 * Moves a cursor, by the parameters of `progressValues`. Only upwards: a leader that was paused must not take back what
 * its successor proved.
 * @param which one row, by `$1`
 */
export const moveUpwards = (table: "stream_cursors" | "network_feed", which: string) => `
    UPDATE ${table}
    SET watermark = GREATEST(watermark, $2::bigint),
        read_through = GREATEST(read_through, $4::bigint),
        settled_through = GREATEST(settled_through, $3::timestamptz),
        halted_because = NULL, halted_at = NULL
    WHERE ${which}
      AND (watermark < $2::bigint OR read_through < $4::bigint OR settled_through IS NULL OR settled_through < $3::timestamptz OR halted_because IS NOT NULL)`;

const ADVANCE = `
  WITH advanced AS (${moveUpwards("stream_cursors", "account = $1")})
  SELECT shards FROM stream_cursors WHERE account = $1 AND NOT in_network`;

/**
 * Moves the account's watermark to what its streams prove.
 * @param tails the caller's last appends; a stream that ends elsewhere proves nothing to it
 * @returns false if a stream has another tail by now, or the account has another number of streams, or none of its own
 */
export async function advanceWatermark(
  redis: RedisClient,
  dataSource: DataSource,
  account: AccountId,
  tails: Tails,
  scanned: Scanned | null,
): Promise<boolean> {
  const progress = await provenTo(redis, tails, scanned);
  if (progress === null) return false;
  const [row]: { shards: number }[] = await dataSource.query(ADVANCE, [account, ...progressValues(progress)]);
  return row?.shards === tails.size;
}

/** A halt stays: only a leader can know that it is over. */
const ADVANCE_UNLED = `UPDATE stream_cursors SET watermark = GREATEST(watermark, $2::bigint) WHERE account = $1`;

/**
 * Moves the watermark of an account that nobody leads. Without a leader's knowledge of its own appends only this is
 * proven: what lies before the oldest entry, or before the last operation of an empty stream, of which a last move may
 * not have been appended.
 * @returns where it was and where it is; null where it need not move
 */
export async function advanceUnled(
  redis: RedisClient,
  dataSource: DataSource,
  account: AccountId,
  dryRun: boolean,
): Promise<{ from: OperationId; to: OperationId } | null> {
  const { watermark: from, shards } = await readCursor(dataSource.manager, account);
  const positions = await readPositions(redis, streamsOf(account, shards));
  if (positions.some(({ tail }) => tail === NO_TAIL)) return null;
  // A forged tail, or a forged entry in an empty stream, would move the watermark past credits that nobody has read.
  if (!(await areTailsProven({ redis, dataSource }, positions))) return null;
  const proven = positions.map(({ oldest, tail }) => parseEntryId(oldest?.id ?? tail).operationId - 1n);
  const to = proven.reduce((a, b) => (a < b ? a : b)) as OperationId;
  if (to <= from) return null;
  if (!dryRun) await dataSource.query(ADVANCE_UNLED, [account, to.toString()]);
  return { from, to };
}

/** @throws Error when the account is not watched */
export async function readCursor(manager: EntityManager, account: AccountId): Promise<StreamCursor> {
  return manager.findOneByOrFail(StreamCursor, { account });
}

/** Records why ingest stopped this account; the watermark's next move clears it. */
export async function haltAccount(dataSource: DataSource, account: AccountId, why: string): Promise<void> {
  await dataSource.query(
    `UPDATE stream_cursors SET halted_because = $2, halted_at = COALESCE(halted_at, now()) WHERE account = $1`,
    [account, why],
  );
}

/** KEYS: the stream, the proof of its tail. Both at one instant. */
const READ = `
  ${TAIL_OF_STREAM}
  return {tail, redis.call('GET', KEYS[2]) or ''}`;

/** Newest entries that are looked at where a tail is not proven, to say who was not ingest. */
const LOOKED_AT = 100;

/** Somebody who moves the tail all the time must not keep a leader in here for ever. */
const TRIES = 10;

type Parts = RefusingParts;

/**
 * Where a stream ends, as far as a leader has signed it. A tail is a cursor: one that nobody signed (a forged entry, a mark
 * set by hand, what an older version appended) may lie beyond what was read, and every credit before it would be passed
 * over. Such a stream begins anew, and is read again after the watermark.
 *
 * @returns the tail, or NO_TAIL for a stream that is empty or begins anew
 * @throws Error where the tail is moved by somebody else again and again
 */
async function provenTail(parts: Parts, stream: StreamName): Promise<Tail> {
  const { redis, logger } = parts;
  for (let tries = 0; tries < TRIES; tries++) {
    const { tail, isProven } = await readTail(parts, stream);
    if (isProven) return tail;
    await reportStrangers(parts, stream);
    logger.warn({ stream, tail }, "nobody of ours has signed this stream's tail; it is read again");
    if (await beginAnew(redis, stream, tail)) return NO_TAIL;
  }
  throw new Error(`the tail of stream ${stream} is moved by somebody else all the time`);
}

/** The same for several streams. */
export async function provenTails<S extends StreamName>(
  parts: Parts,
  streams: readonly S[],
): Promise<Map<S, Tail>> {
  return new Map(
    await Promise.all(streams.map(async (stream) => [stream, await provenTail(parts, stream)] as const)),
  );
}

/** Whether each of the streams ends where a leader has signed that it does. Changes nothing. */
async function areTailsProven(
  parts: Pick<Parts, "redis" | "dataSource">,
  positions: readonly { readonly stream: StreamName; readonly tail: Tail }[],
): Promise<boolean> {
  const read = await Promise.all(positions.map(({ stream }) => readTail(parts, stream)));
  return read.every(({ tail, isProven }, i) => isProven && tail === positions[i]?.tail);
}

async function readTail(
  { redis, dataSource }: Pick<Parts, "redis" | "dataSource">,
  stream: StreamName,
): Promise<{ tail: Tail; isProven: boolean }> {
  const keys = [streamKey(stream), tailProofKey(stream)];
  const [tail, proof] = (await redis.eval(READ, 2, ...keys)) as [Tail, string];
  // A reader that begins at the beginning skips nothing.
  if (tail === NO_TAIL) return { tail, isProven: true };
  const id = idIn(proof);
  const accepted = await entryKeyring(dataSource).accepted(id === null ? [] : [id]);
  return { tail, isProven: isTailSigned(accepted, stream, tail, proof) };
}

/** Reports the forged entries of a stream, which are gone with it before a consumer could report them. */
async function reportStrangers(parts: Parts, stream: StreamName): Promise<void> {
  const newest = await parts.redis.xrevrange(streamKey(stream), "+", "-", "COUNT", LOOKED_AT);
  const entries = newest.map(([id, fields]) => ({ stream, id, fields }));
  const { forged } = await separateForged(parts.dataSource, entries);
  if (forged.length > 0) await reportForged(parts, stream, forged);
}
