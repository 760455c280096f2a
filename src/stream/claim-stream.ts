import type { RedisClient } from "../redis/client.js";
import { TAIL_OF_STREAM, type Tail } from "./append-entries.js";
import {
  GROUP,
  type NetworkStream,
  type StreamName,
  streamKey,
  tailProofKey,
  versionKey,
} from "./stream-keys.js";
import { isNetworkStream } from "./streams.js";

/** What became of a claim. */
export type Claim =
  | { readonly kind: "claimed"; readonly tail: Tail }
  /** Somebody has claimed it for a newer set of accounts. */
  | { readonly kind: "newer"; readonly version: bigint };

/**
 * KEYS: the stream, its version; ARGV: the version of the claim, the group.
 *
 * Entries for an older set lack the credits of new accounts, and their tail would say that all of it was read: the
 * stream begins anew. Whatever it held that is not settled lies after the watermark, and is read again. Versions are
 * compared as texts, since Lua's numbers lose digits: the longer one is the greater.
 */
const CLAIM = `
  local stored = redis.call('GET', KEYS[2]) or ''
  if stored ~= ARGV[1] then
    if #stored > #ARGV[1] or (#stored == #ARGV[1] and stored > ARGV[1]) then return {0, stored} end
    redis.call('DEL', KEYS[1])
    redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[2], '0', 'MKSTREAM')
    redis.call('SET', KEYS[2], ARGV[1])
    return {1, '0-0'}
  end
  redis.call('PERSIST', KEYS[1])
  ${TAIL_OF_STREAM}
  return {1, tail}`;

/** Claims a stream of the network's for a set of accounts: from now on it takes only what was picked for that set. */
export async function claimStream(
  redis: RedisClient,
  stream: NetworkStream,
  version: bigint,
): Promise<Claim> {
  const keys = [streamKey(stream), versionKey(stream)];
  const [claimed, text] = (await redis.eval(CLAIM, 2, ...keys, version.toString(), GROUP)) as [
    number,
    string,
  ];
  return claimed === 1 ? { kind: "claimed", tail: text as Tail } : { kind: "newer", version: BigInt(text) };
}

/** Longer than consumers take to learn which streams there are, and to end a read that waits. In milliseconds. */
const REMOVED_AFTER_MS = 60_000;

/**
 * KEYS: the stream; ARGV: the group, ms until it is gone. In one step: a reader that waits for a stream which is deleted
 * under it gets an error, and calls its batch failed. One that is empty is read on in peace until nobody reads it.
 */
const EMPTY = `
  if redis.call('DEL', KEYS[1]) == 0 then return 0 end
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/**
 * Removes streams that nobody needs any more: what they hold and is not settled is read again. They are empty at once,
 * and gone when consumers have left them. A leader that uses one of them again calls `keepStreams`.
 */
export async function removeStreams(redis: RedisClient, streams: readonly StreamName[]): Promise<void> {
  // The version first: without it nothing can be appended behind our back.
  await Promise.all(streams.filter(isNetworkStream).map((stream) => redis.unlink(versionKey(stream))));
  await Promise.all(streams.map((stream) => redis.unlink(tailProofKey(stream))));
  await Promise.all(
    streams.map((stream) => redis.eval(EMPTY, 1, streamKey(stream), GROUP, REMOVED_AFTER_MS)),
  );
}

/** Keeps streams that were being removed a moment ago: they are used again, and begin anew. */
export async function keepStreams(redis: RedisClient, streams: readonly StreamName[]): Promise<void> {
  await Promise.all(streams.map((stream) => redis.persist(streamKey(stream))));
}
