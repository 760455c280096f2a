import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import type { HorizonRoot } from "./client.js";

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
 * @param reached the last operation on the page: it tells of ledgers that the root does not know yet
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
