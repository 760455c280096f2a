import type { AccountId, Movement } from "../stellar/credit.js";
import type { ShardName, StreamName } from "./stream-keys.js";

/** Of an account's name in a shard's. */
const ACCOUNT_LENGTH = 56;

/**
 * The streams of an account: its own where one is enough, or so many shards. Their number is part of their names: after
 * a change of it nothing is read as if it were complete that was written by another number.
 */
export function streamsOf(account: AccountId, shards: number): StreamName[] {
  if (shards === 1) return [account];
  return Array.from({ length: shards }, (_, index) => `${account}:${index}/${shards}` as ShardName);
}

/** Whose credits a stream holds. */
export function accountOf(stream: StreamName): AccountId {
  return stream.slice(0, ACCOUNT_LENGTH) as AccountId;
}

/**
 * The stream that a credit goes into, by hash of what names its session: all credits of one session are in one stream,
 * in the network's order. What names none is spread by its operation.
 * @param streams all of the account, as `streamsOf` gives them
 */
export function streamFor(movement: Movement, streams: readonly StreamName[]): StreamName {
  const named = movement.kind === "credit" ? (movement.muxed ?? movement.memo) : null;
  const stream = streams[fnv1a(named ?? movement.operationId.toString()) % streams.length];
  if (stream === undefined) throw new Error("an account has at least one stream");
  return stream;
}

/** FNV-1a, 32 bits: the same number on every machine and in every version, spread well for short texts. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
