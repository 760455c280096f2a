import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";

/** What `GET /` says about the server. */
export type HorizonRoot = {
  /** Oldest ledger that it holds; 0 when it has ingested none. */
  readonly historyElderLedger: LedgerSequence;
  /** Newest ledger that it has ingested; 0 when none. */
  readonly historyLatestLedger: LedgerSequence;
  /** Close time of that ledger; null when none. */
  readonly historyLatestClosedAt: Date | null;
  readonly coreLatestLedger: LedgerSequence;
  readonly networkPassphrase: string;
};

/** A closed ledger, as a server that has ingested it says. */
export type LedgerHead = {
  readonly sequence: LedgerSequence;
  readonly closedAt: Date;
  /** Operations of its successful transactions; null where the server does not say. */
  readonly operations: number | null;
};

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

/** Ledgers, both included, of which the server may have forgotten operations after the cursor. */
export type HistoryHole = { readonly missingFrom: LedgerSequence; readonly missingTo: LedgerSequence };

/** Ledger 1 is the genesis: no transaction made it, and servers with full history begin at 2. */
const FIRST_WITH_OPERATIONS = 2 as LedgerSequence;

/**
 * Tells whether the server has forgotten ledgers that the cursor still needs. Horizon does not say so itself: it
 * starts at its oldest ledger, and the page looks fine.
 *
 * A cursor in the middle of a ledger still needs the rest of it; one at its end (endOfLedger) needs the next. Ask
 * for `root` **after** the page that is to be trusted: history only shrinks, so what was there after was there
 * before. (Behind a balancer another server may have answered: all of them must keep the same history.)
 * @returns null when nothing can be missing, also when the server has no history at all (elder ledger 0): it is behind
 */
export function findHistoryHole(
  cursor: OperationId,
  root: Pick<HorizonRoot, "historyElderLedger">,
): HistoryHole | null {
  const ledger = ledgerOf(cursor);
  const next = (cursor === endOfLedger(ledger) ? ledger + 1 : ledger) as LedgerSequence;
  const needed = Math.max(next, FIRST_WITH_OPERATIONS) as LedgerSequence;
  if (needed >= root.historyElderLedger) return null;
  return { missingFrom: needed, missingTo: (root.historyElderLedger - 1) as LedgerSequence };
}

/** Ledgers that a server may forget in one go, about a day's: its reaper works in large steps. */
const FORGOTTEN_AT_ONCE = 20_000;

/** Of what it has, a server forgets less than this part between two answers: it keeps what it is configured to keep. */
const FORGOTTEN_PART = 0.75;

/**
 * Whether the server may have forgotten ledgers after `cursor` since it was asked for its root: then it must be asked
 * again after the page, before anything of that page counts. A reader that is near the newest ledger need not, or each
 * page would cost a second request: the server would have to forget nearly all that it has.
 * @param root what it said before the page, at most a minute ago
 * @param reached the last operation on the page: it can lie in a ledger that the root does not know yet
 */
export function mayBeForgottenSince(
  root: Pick<HorizonRoot, "historyElderLedger" | "historyLatestLedger">,
  cursor: OperationId,
  reached: OperationId,
): boolean {
  const { historyElderLedger: elder, historyLatestLedger } = root;
  const newest = Math.max(historyLatestLedger, ledgerOf(reached));
  const mayForget = Math.min(FORGOTTEN_AT_ONCE, (newest - elder + 1) * FORGOTTEN_PART);
  return ledgerOf(cursor) < elder + mayForget;
}

/** The alarm's words: what is wrong, and the two ways on. */
export function describeHole({ missingFrom, missingTo }: HistoryHole): string {
  return (
    `the server no longer has ledgers ${missingFrom} to ${missingTo}, and payments in them would be skipped in ` +
    "silence. Set HORIZON_URL to a server that has them, or accept the hole on the record: paidonce accept-hole"
  );
}
