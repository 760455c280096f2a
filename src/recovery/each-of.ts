import { databaseFault } from "../entities/database-errors.js";
import { HorizonError, type HorizonErrorKind, WrongNetworkError } from "../horizon/errors.js";
import { LockUnavailableError } from "../locks/errors.js";
import type { Run } from "./repair.js";

/** Horizon as a whole: the next question would fare no better. */
const AWAY: readonly HorizonErrorKind[] = ["rate_limited", "unavailable", "timeout", "network"];

/**
 * Does `work` for each item. One that fails keeps no other from being looked at: it would stand in front of them in
 * every run. Where a server is away, the rest is left at once.
 * @throws the outage; or, once all were tried, an Error that tells how many failed and why the first did
 */
export async function eachOf<T>(
  run: Run,
  items: Iterable<T>,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const failures: unknown[] = [];
  let looked = 0;
  for (const item of items) {
    looked++;
    try {
      await work(item);
    } catch (error) {
      run.signal.throwIfAborted();
      if (isOutage(error)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (failures.length === 0) return;
  const why = first instanceof Error ? first.message : String(first);
  throw new Error(`${failures.length} of ${looked} could not be looked at: ${why}`, { cause: first });
}

function isOutage(error: unknown): boolean {
  if (error instanceof HorizonError) return AWAY.includes(error.kind);
  return (
    error instanceof WrongNetworkError ||
    error instanceof LockUnavailableError ||
    databaseFault(error) === "unavailable"
  );
}
