import type { AccountId } from "../stellar/credit.js";

/** The consumer group that settles. One group: every entry goes to one replica. */
export const GROUP = "settlement";

/** One of several streams of an account, `<account>:<index>/<count>`. */
export type ShardName = string & { readonly kind: "shard" };

/** What names a stream: its account, where it holds all of the account's credits, or the shard of it. */
export type StreamName = AccountId | ShardName;

/**
 * Keys of one stream. They share a hash tag, so that a script may touch several of them on a Redis Cluster too, and
 * different streams are spread over its nodes.
 */
export function streamKey(stream: StreamName): string {
  return `paidonce:{${stream}}:credits`;
}

/** An account's entries that could not be settled, with why; the truth about them is the `unreadable` exception. */
export function deadLetterKey(account: AccountId): string {
  return `paidonce:{${account}}:dead-letters`;
}

/** Who leads this account's ingest, into however many streams. */
export function leaderKey(account: AccountId): string {
  return `paidonce:{${account}}:leader`;
}
