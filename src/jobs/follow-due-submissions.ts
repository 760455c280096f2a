import type { HorizonRoot } from "../horizon/reach.js";
import { type Followed, type Following, followSubmission } from "../submission/follow-submission.js";
import { findDueSubmissions } from "../submission/submissions.js";

export type FollowingParts = Omit<Following, "root"> & {
  /** Of the network that Horizon must serve. */
  readonly passphrase: string;
};

/** Found at once. Each is asked for in the database again when its turn comes, so that replicas can share them. */
const BATCH = 100;

/** Transactions of one worker at once: they mostly wait for Horizon, which must not be overrun. */
const CONCURRENCY = 20;

/**
 * Sends, asks for and concludes the transactions of sessions that are due. One that fails keeps no other from its turn.
 * @returns how many came to what
 * @throws the signal's reason; the first error of the database, once all were tried
 */
export async function followDueSubmissions(
  parts: FollowingParts,
  signal: AbortSignal,
): Promise<Partial<Record<Followed, number>>> {
  const due = (await findDueSubmissions(parts.dataSource, BATCH)).values();
  const counts: Partial<Record<Followed, number>> = {};
  const failures: unknown[] = [];
  const following: Following = { ...parts, root: rootOf(parts, signal) };
  const work = async () => {
    // One iterator for all: each takes the next.
    for (const hash of due) {
      try {
        const followed = await followSubmission(following, hash, signal);
        counts[followed] = (counts[followed] ?? 0) + 1;
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  if (failures.length > 0) throw failures[0];
  return counts;
}

/** Asked once for a whole run: each look would cost Horizon's rate limit one request more. A failure is not kept. */
function rootOf({ horizon, passphrase }: FollowingParts, signal: AbortSignal): () => Promise<HorizonRoot> {
  let asked: Promise<HorizonRoot> | null = null;
  return () => {
    asked ??= horizon.assertNetwork(passphrase, signal).catch((error: unknown) => {
      asked = null;
      throw error;
    });
    return asked;
  };
}
