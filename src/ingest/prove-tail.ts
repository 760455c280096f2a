import { NO_TAIL, TAIL_OF_STREAM, type Tail } from "../stream/append-entries.js";
import type { Delivery } from "../stream/consumer-group.js";
import type { RawEntry } from "../stream/entry.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { idIn, isTailSigned } from "../stream/entry-mac.js";
import { beginAnew, type RefusingParts, reportForged, separateForged } from "../stream/forged-entries.js";
import { type StreamName, streamKey, tailProofKey } from "../stream/stream-keys.js";

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
export async function provenTail(parts: Parts, stream: StreamName): Promise<Tail> {
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
export async function areTailsProven(
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

/** The entries that nobody of ours wrote are gone with the stream, before a consumer could tell of them. */
async function reportStrangers(parts: Parts, stream: StreamName): Promise<void> {
  const entries: RawEntry[] = await parts.redis.xrevrange(streamKey(stream), "+", "-", "COUNT", LOOKED_AT);
  const deliveries: Delivery[] = entries.map((entry) => ({ stream, entry }));
  const { forged } = await separateForged(parts.dataSource, deliveries);
  if (forged.length > 0) await reportForged(parts, stream, forged);
}
