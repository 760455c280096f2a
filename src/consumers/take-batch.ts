import { referenceOf } from "../stellar/reference.js";
import type { StreamEntry } from "../stream/entry.js";

/**
 * Divides what waits into the next batch and the rest. Batches in flight at the same time share no session: the later of
 * them could commit first, and of two payments for one session the second would be called the payment and the first
 * the duplicate. For the same reason an entry waits that is behind a waiting one and names the same session.
 *
 * @param waiting in the order in which they are to be settled
 * @param inFlight entries of batches that have not ended
 * @param size of a batch at the most
 */
export function takeBatch(
  waiting: readonly StreamEntry[],
  inFlight: Iterable<StreamEntry>,
  size: number,
): { batch: StreamEntry[]; rest: StreamEntry[] } {
  const busy = new Set<string>();
  for (const entry of inFlight) {
    const session = sessionOf(entry);
    if (session !== null) busy.add(session);
  }
  const batch: StreamEntry[] = [];
  const rest: StreamEntry[] = [];
  for (const entry of waiting) {
    const session = sessionOf(entry);
    if (batch.length < size && (session === null || !busy.has(session))) {
      batch.push(entry);
    } else {
      rest.push(entry);
      if (session !== null) busy.add(session);
    }
  }
  return { batch, rest };
}

/** The account and the reference that an entry names; null where it names nothing. */
function sessionOf({ movement }: StreamEntry): string | null {
  const reference = movement.kind === "credit" ? referenceOf(movement) : null;
  return reference === null ? null : `${movement.account} ${reference}`;
}
