import { Journal } from "../server/journal.js";
import type { Injection } from "./operations/injected.js";
import type { PriceOption } from "./prices.js";

/** What everything after depends on; the journal's wins over the options at a restart. */
export type JournalHeader = {
  readonly passphrase: string;
  readonly firstLedger: number;
  /** Close time of the first ledger, Unix seconds. */
  readonly closedAt: number;
  readonly prices: readonly PriceOption[];
};

type JournalEntry = { readonly envelope: string; readonly injection?: Injection };

export type JournalLedger = {
  readonly ledger: number;
  readonly closedAt: number;
  readonly entries: readonly JournalEntry[];
};

/**
 * The header, then every closed ledger, empty ones too, before it is shown to anyone: a restarted network goes on where it
 * was, with the same operation ids.
 */
export class NetworkJournal extends Journal<JournalHeader | JournalLedger> {
  /** @returns null for a new journal */
  readNetwork(): { header: JournalHeader; ledgers: JournalLedger[] } | null {
    const [header, ...ledgers] = this.read();
    if (header === undefined) return null;
    return { header: header as JournalHeader, ledgers: ledgers as JournalLedger[] };
  }
}
