import type { Delivery } from "./consumer-group.js";
import { referencesOf } from "./entry.js";
import { ownerOf } from "./network-streams.js";

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
  for (const delivery of inFlight) for (const reference of namedBy(delivery)) busy.add(reference);
  const batch: Delivery[] = [];
  const rest: Delivery[] = [];
  for (const delivery of waiting) {
    const names = namedBy(delivery);
    if (batch.length < size && !names.some((name) => busy.has(name))) {
      batch.push(delivery);
    } else {
      rest.push(delivery);
      for (const name of names) busy.add(name);
    }
  }
  return { batch, rest };
}

function namedBy(delivery: Delivery): string[] {
  const account = ownerOf(delivery);
  return referencesOf(delivery.entry).map((reference) => `${account} ${reference}`);
}
