import type { AccountId } from "../stellar/credit.js";

/** The consumer group that settles. One group: every entry goes to one replica. */
export const GROUP = "settlement";

/** One of several streams of an account, `<account>:<index>/<count>`. */
export type ShardName = string & { readonly kind: "shard" };

/** One of the streams of the whole network's feed, `network:<index>/<count>`. */
export type NetworkStream = string & { readonly kind: "network stream" };

/** A stream that holds the credits of one account: all of them, named like it, or a shard's. */
export type AccountStream = AccountId | ShardName;

/** What names a stream. One of the network's holds credits of many accounts: each entry says whose it is. */
export type StreamName = AccountStream | NetworkStream;

/** The feed of the whole network, where an account's would be named by the account. */
export const NETWORK = "network";

/** What one leader reads. */
export type FeedName = AccountId | typeof NETWORK;

/**
 * Keys of one stream. They share a hash tag, so that a script may touch several of them on a Redis Cluster too, and
 * different streams are spread over its nodes.
 */
export function streamKey(stream: StreamName): string {
  return `paidonce:{${stream}}:credits`;
}

/** The stream's tail as a leader has signed it (entry-mac.ts): without it nobody knows who moved the tail. */
export function tailProofKey(stream: StreamName): string {
  return `paidonce:{${stream}}:tail-proof`;
}

/** Which set of accounts the stream is of, as `set_version` of `network_feed` counts them. */
export function versionKey(stream: NetworkStream): string {
  return `paidonce:{${stream}}:version`;
}

/**
 * An account's entries that could not be settled, with why; the truth about them is the `unreadable` exception. Under a
 * stream of the network's those that nobody can be found for.
 */
export function deadLetterKey(owner: AccountId | NetworkStream): string {
  return `paidonce:{${owner}}:dead-letters`;
}

/** The key of the lease by which one process leads the ingest of a feed, into however many streams. */
export function leaderKey(feed: FeedName): string {
  return `paidonce:{${feed}}:leader`;
}
