import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
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
 * Every closed ledger as a line of JSON, empty ones too: a restarted network goes on where it was, with the
 * same operation ids. Lines are handed to the operating system before the ledger is shown to anyone; they
 * survive the process, not a power cut.
 */
export class Journal {
  constructor(readonly path: string) {}

  /**
   * Reads what is there and cuts off a last line that a crash left unfinished.
   * @returns null for a new journal
   * @throws Error when a line other than the last is broken
   */
  read(): { header: JournalHeader; ledgers: JournalLedger[] } | null {
    if (!existsSync(this.path)) return null;
    const bytes = readFileSync(this.path);
    const end = bytes.lastIndexOf("\n") + 1;
    if (end < bytes.length) truncateSync(this.path, end);
    const [first, ...rest] = bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1);
    if (first === undefined) return null;
    return { header: parse<JournalHeader>(first), ledgers: rest.map((line) => parse<JournalLedger>(line)) };
  }

  append(line: JournalHeader | JournalLedger): void {
    appendFileSync(this.path, `${JSON.stringify(line)}\n`);
  }
}

/** Our own lines, written by `append`: checked for being JSON, trusted for the rest. */
function parse<T>(line: string): T {
  return JSON.parse(line) as T;
}
