import type { HorizonClient } from "../horizon/client.js";
import { HorizonError, type HorizonErrorKind } from "../horizon/errors.js";
import { whyAway } from "../horizon/why-away.js";
import { LockUnavailableError } from "../locks/redlock-adapter.js";
import { isDatabaseAway, isOutwaited } from "../postgres/database-errors.js";

/** Horizon as a whole, perhaps: the next question would fare no better. */
const AWAY: readonly HorizonErrorKind[] = ["rate_limited", "unavailable", "timeout", "network"];

/** Items that may end by waiting for too long, whatever else answers: each costs a time-out, and a run must end. */
const MOST_OUTWAITED = 5;

/** Whom the work asks, and what ends it. */
export type Asking = { readonly horizon: HorizonClient; readonly signal: AbortSignal };

/**
 * Does `work` for each item. One that fails keeps no other from being looked at: it would stand in front of them in
 * every run. Where a server is away for all of them, the rest is left at once.
 * @throws the outage; or, once all were tried, an Error that tells how many failed and why the first did
 */
export async function eachOf<T>(
  asking: Asking,
  items: Iterable<T>,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const failures: unknown[] = [];
  let [looked, outwaited] = [0, 0];
  for (const item of items) {
    looked++;
    try {
      await work(item);
    } catch (error) {
      asking.signal.throwIfAborted();
      if (mayBeOutage(error) && ++outwaited > MOST_OUTWAITED) throw error;
      if (await isOutage(asking, error)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (failures.length === 0) return;
  const why = first instanceof Error ? first.message : String(first);
  throw new Error(`${failures.length} of ${looked} could not be looked at: ${why}`, { cause: first });
}

/** A row that somebody keeps locked, a page that Horizon never sends: one of them is no outage, many may be. */
function mayBeOutage(error: unknown): boolean {
  return isOutwaited(error) || (error instanceof HorizonError && AWAY.includes(error.kind));
}

async function isOutage({ horizon, signal }: Asking, error: unknown): Promise<boolean> {
  if (error instanceof LockUnavailableError || isDatabaseAway(error)) return true;
  if (error instanceof HorizonError && !AWAY.includes(error.kind)) return false;
  return (await whyAway(horizon, error, signal)) !== null;
}
