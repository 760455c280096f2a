import type { Delivery } from "../stream/consumer-group.js";
import { referenceOfEntry } from "../stream/entry.js";
import { ownerOf } from "../stream/streams.js";

/**
 * Divides what waits into the next batch and the rest. Batches in flight at the same time share no session: the later of
 * them could commit first, and of two payments for one session the second would be called the payment and the first
 * the duplicate. For the same reason whatever is behind an entry that must wait, and names its session, waits too.
 *
 * @param waiting in the order in which they are to be settled
 * @param inFlight entries of batches that have not ended
 * @param size of a batch at the most
 */
export function takeBatch(
  waiting: readonly Delivery[],
  inFlight: Iterable<Delivery>,
  size: number,
): { batch: Delivery[]; rest: Delivery[] } {
  const busy = new Set<string>();
  for (const delivery of inFlight) {
    const session = sessionNamedBy(delivery);
    if (session !== null) busy.add(session);
  }
  const batch: Delivery[] = [];
  const rest: Delivery[] = [];
  for (const delivery of waiting) {
    const session = sessionNamedBy(delivery);
    if (batch.length < size && (session === null || !busy.has(session))) {
      batch.push(delivery);
    } else {
      rest.push(delivery);
      if (session !== null) busy.add(session);
    }
  }
  return { batch, rest };
}

/** The account and the reference that an entry names; null where it names nothing. */
function sessionNamedBy(delivery: Delivery): string | null {
  const reference = referenceOfEntry(delivery.entry);
  return reference === null ? null : `${ownerOf(delivery)} ${reference}`;
}
