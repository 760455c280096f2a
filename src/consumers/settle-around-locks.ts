import { isOutwaited } from "../postgres/database-errors.js";
import type { Settlement } from "../settlement/settle.js";
import type { Delivery } from "../stream/consumer-group.js";
import { separateForged } from "../stream/forged-entries.js";
import { findBlocked } from "./find-blocked.js";
import { type SettlingParts, settleDeliveries } from "./settle-deliveries.js";

export type SettledAround = {
  readonly settlements: Settlement[];
  /** Their sessions are held by another replica: try them again in a moment. */
  readonly setAside: Delivery[];
  /** They wait for a row that somebody keeps locked: nothing else may wait for them. */
  readonly blocked: Delivery[];
};

/**
 * Tries of one batch that may end by waiting for too long, each as long as a statement may take. A lock on a whole table
 * holds up every half too: then it is an outage, and not one row.
 */
const OUTWAITED_TRIES = 12;

/**
 * Settles a batch although somebody may have a row of it locked, and leaves it so: the batch runs into its time-out once,
 * and then goes on without what is locked. What can't be found so is found by halving, like a credit that is refused.
 *
 * @throws as `settleDeliveries`; also where nearly every part of the batch waits for too long
 */
export async function settleAroundLocks(
  parts: SettlingParts,
  deliveries: readonly Delivery[],
): Promise<SettledAround> {
  const result: SettledAround = { settlements: [], setAside: [], blocked: [] };
  const left: (readonly Delivery[])[] = [deliveries];
  let outwaited = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    try {
      const { settlements, setAside } = await settleDeliveries(parts, part);
      result.settlements.push(...settlements);
      result.setAside.push(...setAside);
    } catch (error) {
      if (!isOutwaited(error) || ++outwaited > OUTWAITED_TRIES) throw error;
      // Those that are refused were left to the end, and are still there.
      const { genuine, forged } = await separateForged(parts.dataSource, part);
      const blocked = await findBlocked(parts.dataSource, genuine);
      result.blocked.push(...blocked.keys());
      const others = [...genuine.filter((delivery) => !blocked.has(delivery)), ...forged];
      if (others.length === 0) continue;
      if (blocked.size > 0) left.push(others);
      else if (others.length === 1) result.blocked.push(...others);
      else left.push(others.slice(0, others.length >> 1), others.slice(others.length >> 1));
    }
  }
  return result;
}
