import type { EntityManager } from "typeorm";
import type { AccountId, NetworkMovement } from "../stellar/credit.js";
import { referenceOf } from "../stellar/reference.js";
import {
  type AccountStream,
  type FeedName,
  NETWORK,
  type NetworkStream,
  type ShardName,
  type StreamName,
} from "./stream-keys.js";

/**
 * The streams of an account: its own where one is enough, or so many shards. Their number is part of their names: after
 * a change, what was written for the former number is not read as if it were complete.
 */
export function streamsOf(account: AccountId, shards: number): AccountStream[] {
  if (shards === 1) return [account];
  return Array.from({ length: shards }, (_, index) => `${account}:${index}/${shards}` as ShardName);
}

/** Of an account's name in a shard's. */
const ACCOUNT_LENGTH = 56;

/** Whose credits a stream of one account holds. */
export function accountOf(stream: AccountStream): AccountId {
  return stream.slice(0, ACCOUNT_LENGTH) as AccountId;
}

/**
 * The stream that a credit goes into, by hash of what names its session: all credits of one session are in one stream,
 * in the network's order. What names none is spread by its operation.
 * @param streams all of the account, as `streamsOf` gives them
 */
export function streamFor<S extends string>(movement: NetworkMovement, streams: readonly S[]): S {
  return pick(spreadBy(movement), streams);
}

const NETWORK_PREFIX = `${NETWORK}:`;

/** The streams of the network's feed. Their number is part of their names, as with an account's shards. */
export function networkStreams(count: number): NetworkStream[] {
  return Array.from({ length: count }, (_, index) => `${NETWORK_PREFIX}${index}/${count}` as NetworkStream);
}

export function isNetworkStream(stream: StreamName): stream is NetworkStream {
  return stream.startsWith(NETWORK_PREFIX);
}

/** The stream that a credit of any account goes into: all credits of one session into the same. */
export function networkStreamFor<S extends string>(movement: NetworkMovement, streams: readonly S[]): S {
  return pick(`${movement.account} ${spreadBy(movement)}`, streams);
}

/** The feed that a stream is one of. The leader of a feed leads all its streams. */
export function feedOf(stream: StreamName): FeedName {
  return isNetworkStream(stream) ? NETWORK : accountOf(stream);
}

const FEED = "SELECT streams FROM network_feed";

const BY_THEMSELVES = "SELECT account, shards FROM stream_cursors WHERE NOT in_network ORDER BY account";

/**
 * The streams that hold the credits of watched accounts, in a stable order: those of the network's feed, and of each
 * account that is not in it.
 */
export async function watchedStreams(manager: EntityManager): Promise<StreamName[]> {
  const [feeds, cursors]: [{ streams: number }[], { account: AccountId; shards: number }[]] =
    await Promise.all([manager.query(FEED), manager.query(BY_THEMSELVES)]);
  return [
    ...feeds.flatMap(({ streams }) => networkStreams(streams)),
    ...cursors.flatMap(({ account, shards }) => streamsOf(account, shards)),
  ];
}

/** What decides about a credit's stream: its reference, by which settlement finds the session. */
function spreadBy(movement: NetworkMovement): string {
  const reference = movement.kind === "credit" ? referenceOf(movement) : null;
  return reference ?? movement.operationId.toString();
}

/** The same of the same streams for the same text, always. */
function pick<S extends string>(text: string, streams: readonly S[]): S {
  const stream = streams[fnv1a(text) % streams.length];
  if (stream === undefined) throw new Error("a feed has at least one stream");
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
