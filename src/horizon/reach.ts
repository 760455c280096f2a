import type { LedgerSequence } from "../stellar/operation-id.js";
import type { HorizonRoot } from "./client.js";

/**
 * By how much a server may lag that does not say where it is. Horizon sends `Latest-Ledger` with answers about the
 * ledger's state alone (stellar-horizon, StateMiddleware), not with operations and transactions. Nothing bounds the lag
 * of those: `history-stale-threshold`, after which a server answers 503 stale_history, is 0 by default, which means never
 * (internal/flags.go).
 *
 * So this is a guess, for what a wrong guess does not harm: a session that is rolled back, or expires, too early loses no
 * money, since a credit that comes later still settles it. A charge that was called failed can't be paid any more, so
 * that there an answer counts only by the ledger that it names itself (`saysItReachesPast`).
 */
export const UNSAID_LAG_MS = 200_000;

/**
 * The same where a wrong guess would harm: a cursor that moves past a ledger without an operation of its own in it. An
 * account that nothing happens to must follow the network all the same, or its cursor would one day be older than what
 * servers keep. Ten minutes of the network's time, during which the account was asked for with every ledger: a server
 * behind a balancer that was so far behind, and gave every answer of those ten minutes, would be needed to hide a credit.
 */
export const QUIET_LAG_MS = 600_000;

type Newest = Pick<HorizonRoot, "historyLatestLedger" | "historyLatestClosedAt">;

/**
 * Whether an answer can be trusted to know all that the network had closed at `moment`. Behind a balancer each
 * question can reach another server: an answer counts by the ledger that it names itself.
 * @param root what a server said of its ledgers before the question
 * @param latestLedger what came with the answer; null where it does not say
 */
export function hasCaughtUp(root: Newest, latestLedger: LedgerSequence | null, moment: Date): boolean {
  if (latestLedger !== null) return latestLedger >= root.historyLatestLedger;
  const closedAt = root.historyLatestClosedAt;
  return closedAt !== null && closedAt.getTime() - UNSAID_LAG_MS > moment.getTime();
}

/** Whether, moreover, a ledger has closed after `moment`: what is not there by then is in no ledger up to it. */
export function reachesPast(root: Newest, latestLedger: LedgerSequence | null, moment: Date): boolean {
  const closedAt = root.historyLatestClosedAt;
  return (
    hasCaughtUp(root, latestLedger, moment) && closedAt !== null && closedAt.getTime() > moment.getTime()
  );
}

/** The same, by an answer that names its ledger itself and by no other. */
export function saysItReachesPast(root: Newest, latestLedger: LedgerSequence | null, moment: Date): boolean {
  return latestLedger !== null && reachesPast(root, latestLedger, moment);
}
