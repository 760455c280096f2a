import type { AccountId } from "../stellar/credit.js";

/** The consumer group that settles. One group: every entry goes to one replica. */
export const GROUP = "settlement";

/**
 * Keys of one account's stream. They share a hash tag, so that a script may touch several of them on a
 * Redis Cluster too.
 */
export function streamKey(account: AccountId): string {
  return `paidonce:{${account}}:credits`;
}

/** Entries that could not be settled, with why; the truth about them is the `unreadable` exception. */
export function deadLetterKey(account: AccountId): string {
  return `paidonce:{${account}}:dead-letters`;
}

/** Who leads this account's ingest. */
export function leaderKey(account: AccountId): string {
  return `paidonce:{${account}}:leader`;
}
