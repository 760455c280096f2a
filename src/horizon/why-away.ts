import type { HorizonClient } from "./client.js";
import { HorizonError, WrongNetworkError } from "./errors.js";

/**
 * Whether Horizon is away for all after one question has failed, or only failed with that one: the page of one account can
 * time out each time. The server is asked what it is, which costs it nothing.
 * @returns why it is away; null where it answers, or the error is none of Horizon's
 * @throws the signal's reason
 */
export async function whyAway(
  horizon: HorizonClient,
  error: unknown,
  signal: AbortSignal,
): Promise<string | null> {
  if (error instanceof WrongNetworkError) return error.message;
  if (!(error instanceof HorizonError)) return null;
  try {
    await horizon.root(signal);
    return null;
  } catch (second) {
    signal.throwIfAborted();
    return `Horizon is away: ${second instanceof Error ? second.message : String(second)}`;
  }
}
