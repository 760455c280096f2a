import { Keypair } from "@stellar/stellar-sdk";
import { isPayerGone } from "./apply-transaction.js";
import { checkTransaction } from "./check-transaction.js";
import { applyEntry, closeHeader, type Entry } from "./close-ledger.js";
import { Credits } from "./credits.js";
import { type Envelope, readEnvelope } from "./envelope.js";
import { History, type HistoryLedger, type HistoryTransaction } from "./history.js";
import { injectionEnvelope } from "./injection-envelope.js";
import { type JournalHeader, NetworkJournal } from "./journal.js";
import { AccountEntry, type Accounts } from "./ledger-state.js";
import { bind } from "./operations/dispatch.js";
import { checkInjection, type Injection } from "./operations/injected.js";
import { type PriceOption, Prices } from "./prices.js";
import { Queue, type Queued } from "./queue.js";
import { TOTAL_COINS } from "./records/ledger-record.js";
import type { Verdict } from "./result.js";

export const SANDBOX_PASSPHRASE = "Paidonce Sandbox Network ; 2026";

export type NetworkOptions = {
  readonly passphrase?: string;
  /** Milliseconds between ledgers, 5000 as on the network; 0 closes only on `closeLedger()`. */
  readonly ledgerMs?: number;
  /** Sequence of the first ledger; about 60,000,000 puts operation ids past 2^53, as on the network. */
  readonly firstLedger?: number;
  /** Milliseconds since the epoch; ledger times never go backwards, whatever it says. */
  readonly clock?: () => number;
  /** How many ledgers of history to serve; all when left out. */
  readonly retention?: number;
  readonly prices?: readonly PriceOption[];
  /** File that makes the network survive a restart; in memory when left out. */
  readonly journal?: string;
};

export type Submission =
  | { readonly kind: "malformed" }
  /** Already in a ledger. */
  | { readonly kind: "known"; readonly envelope: Envelope; readonly transaction: HistoryTransaction }
  | Offered;

type Offered =
  | { readonly kind: "refused"; readonly envelope: Envelope; readonly verdict: Verdict }
  | { readonly kind: "queued" | "duplicate"; readonly envelope: Envelope; readonly queued: Queued };

/**
 * The network itself: accounts, ledgers, history. Everything happens on one thread between awaits, so a
 * reader sees a ledger whole or not at all.
 */
export class SandboxNetwork {
  readonly passphrase: string;
  readonly root: Keypair;
  readonly accounts: Accounts = new Map();
  readonly history: History;
  readonly credits = new Credits();
  readonly #queue = new Queue();
  readonly #prices: Prices;
  readonly #journal: NetworkJournal | null;
  readonly #clock: () => number;
  readonly #ledgerMs: number;
  readonly #listeners = new Set<() => void>();
  #last: HistoryLedger;
  #timer: NodeJS.Timeout | null = null;

  /** Replays the journal if there is one. @throws Error when it belongs to another passphrase or is broken */
  constructor(options: NetworkOptions = {}) {
    this.#clock = options.clock ?? Date.now;
    this.#ledgerMs = options.ledgerMs ?? 5000;
    this.#journal = options.journal === undefined ? null : new NetworkJournal(options.journal);
    const kept = this.#journal?.readNetwork() ?? null;
    const header: JournalHeader = kept?.header ?? {
      passphrase: options.passphrase ?? SANDBOX_PASSPHRASE,
      firstLedger: options.firstLedger ?? 60_000_000,
      closedAt: Math.floor(this.#clock() / 1000),
      prices: options.prices ?? [],
    };
    if (options.passphrase !== undefined && options.passphrase !== header.passphrase) {
      throw new Error(`the journal ${options.journal} is of network ${JSON.stringify(header.passphrase)}`);
    }
    this.passphrase = header.passphrase;
    this.root = Keypair.master(header.passphrase);
    this.#prices = new Prices(header.prices);
    this.history = new History(options.retention);
    this.#last = this.#genesis(header);
    if (kept === null) this.#journal?.append(header);
    for (const line of kept?.ledgers ?? []) {
      const entries = line.entries.map(({ envelope, injection }) => ({
        envelope: readEnvelope(envelope, this.passphrase),
        injection: injection ?? null,
      }));
      this.#include(line.ledger, line.closedAt, entries);
    }
  }

  get latest(): HistoryLedger {
    return this.#last;
  }

  start(): void {
    if (this.#timer !== null || this.#ledgerMs === 0) return;
    this.#timer = setInterval(() => this.closeLedger(), this.#ledgerMs);
  }

  /** Ends the ticking; whoever waits for a ledger is told that none will come. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const queued of this.#queue.take()) queued.settle({ kind: "stopped" });
    this.#listeners.clear();
  }

  /** Calls back after each ledger, until the returned function is called. */
  onLedger(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes an envelope (base64 XDR) into the queue for the next ledger, or says why not. */
  submit(xdr: string, verifySignatures = true): Submission {
    const envelope = this.#read(xdr);
    if (envelope === null) return { kind: "malformed" };
    const transaction = this.history.transaction(envelope.hash);
    if (transaction !== undefined) return { kind: "known", envelope, transaction };
    return this.#offer(envelope, verifySignatures);
  }

  /** The same as stellar-core takes it, which looks into no history: what has applied is tx_bad_seq to it. */
  submitToCore(xdr: string): Exclude<Submission, { readonly kind: "known" }> {
    const envelope = this.#read(xdr);
    return envelope === null ? { kind: "malformed" } : this.#offer(envelope, true);
  }

  #offer(envelope: Envelope, verifySignatures: boolean): Offered {
    const waiting = this.#queue.find(envelope.hash);
    if (waiting !== undefined) return { kind: "duplicate", envelope, queued: waiting };
    const verdict = checkTransaction(envelope, {
      accounts: this.accounts,
      ledger: this.#last.sequence + 1,
      closeTime: this.#nextCloseTime(),
      sequenceOf: (entry) => this.#queue.sequenceOf(entry),
      verifySignatures,
    });
    if (verdict !== null) return { kind: "refused", envelope, verdict };
    return { kind: "queued", envelope, queued: this.#queue.add(envelope, null) };
  }

  /**
   * Queues something for the next ledger that no envelope could ask for.
   * @throws Error when an address, asset or amount in it can't be read
   */
  inject(injection: Injection): Queued {
    checkInjection(injection);
    const xdr = injectionEnvelope(this.root, this.rootSequence(), this.passphrase);
    return this.#queue.add(readEnvelope(xdr, this.passphrase), injection);
  }

  /** Last sequence number of the root account, counting what is queued. */
  rootSequence(): bigint {
    const root = this.accounts.get(this.root.publicKey());
    return root === undefined ? 0n : this.#queue.sequenceOf(root);
  }

  /** Last sequence number of any account, counting what is queued; null when it does not exist. */
  sequenceOf(account: string): bigint | null {
    const entry = this.accounts.get(account);
    return entry === undefined ? null : this.#queue.sequenceOf(entry);
  }

  /**
   * Closes a ledger over what is queued.
   * @param later seconds by which it closes later than it would: those after it stand still until the clock is there
   */
  closeLedger(later = 0): HistoryLedger {
    const closeTime = this.#nextCloseTime() + later;
    const taken = this.#queue.take();
    const included = this.#include(this.#last.sequence + 1, closeTime, taken, true);
    const entries = included.map(({ envelope, injection }) =>
      injection === null ? { envelope: envelope.xdr } : { envelope: envelope.xdr, injection },
    );
    this.#journal?.append({ ledger: this.#last.sequence, closedAt: closeTime, entries });
    for (const { envelope, settle } of taken) {
      const transaction = this.history.transaction(envelope.hash);
      if (transaction !== undefined) settle({ kind: "applied", transaction });
    }
    for (const listener of [...this.#listeners]) listener();
    return this.#last;
  }

  /** Applies what still may apply; with `check`, tells the rest why not. */
  #include<E extends Entry & Partial<Queued>>(
    ledger: number,
    closeTime: number,
    entries: readonly E[],
    check = false,
  ): E[] {
    const context = { accounts: this.accounts, ledger, closeTime, prices: this.#prices };
    const included: E[] = [];
    const transactions: HistoryTransaction[] = [];
    for (const entry of entries) {
      // An injection is nobody's to refuse: its carrier is an operation that the sandbox can't apply itself.
      const checked = check && entry.injection === null && !isPayerGone(entry.envelope, context);
      const verdict = checked ? this.#recheck(entry.envelope, ledger, closeTime) : null;
      if (verdict !== null) {
        entry.settle?.({ kind: "dropped", verdict });
        continue;
      }
      included.push(entry);
      transactions.push(applyEntry(entry, transactions.length + 1, context, this.credits));
    }
    this.#last = closeHeader(this.#last, ledger, closeTime, transactions);
    this.history.append(this.#last, transactions);
    return included;
  }

  /** Null for what the network could not decode, or what would later trip over a code that is no asset's. */
  #read(xdr: string): Envelope | null {
    try {
      const envelope = readEnvelope(xdr, this.passphrase);
      for (const operation of envelope.transaction.operations) bind(envelope, operation).details(null);
      return envelope;
    } catch {
      return null;
    }
  }

  #recheck(envelope: Envelope, ledger: number, closeTime: number): Verdict | null {
    const sequenceOf = (entry: AccountEntry) => entry.sequence;
    return checkTransaction(envelope, {
      accounts: this.accounts,
      ledger,
      closeTime,
      sequenceOf,
      verifySignatures: false,
    });
  }

  #nextCloseTime(): number {
    return Math.max(this.#last.closedAt, Math.floor(this.#clock() / 1000));
  }

  #genesis(header: JournalHeader): HistoryLedger {
    const root = new AccountEntry(this.root.publicKey());
    root.balance = TOTAL_COINS;
    root.modifiedLedger = header.firstLedger;
    root.modifiedTime = header.closedAt;
    this.accounts.set(root.id, root);
    const ledger = closeHeader(null, header.firstLedger, header.closedAt, []);
    this.history.append(ledger, []);
    return ledger;
  }
}
