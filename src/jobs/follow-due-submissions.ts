import { findDueSubmissions } from "../submission/find-due-submissions.js";
import { type Followed, type Following, followSubmission } from "../submission/follow-submission.js";

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
  parts: Following,
  signal: AbortSignal,
): Promise<Partial<Record<Followed, number>>> {
  const due = (await findDueSubmissions(parts.dataSource, BATCH)).values();
  const counts: Partial<Record<Followed, number>> = {};
  const failures: unknown[] = [];
  const work = async () => {
    // One iterator for all: each takes the next.
    for (const hash of due) {
      try {
        const followed = await followSubmission(parts, hash, signal);
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
