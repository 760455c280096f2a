import { type Envelope, sourceAccount } from "./envelope.js";
import type { HistoryTransaction } from "./history.js";
import type { AccountEntry } from "./ledger-state.js";
import type { Injection } from "./operations/injected.js";
import type { Verdict } from "./result.js";

/** What became of a queued transaction. */
export type Outcome =
  | { readonly kind: "applied"; readonly transaction: HistoryTransaction }
  /** No longer valid when its ledger closed (too late, source merged away): it entered no ledger. */
  | { readonly kind: "dropped"; readonly verdict: Verdict }
  | { readonly kind: "stopped" };

export type Queued = {
  readonly envelope: Envelope;
  readonly injection: Injection | null;
  readonly outcome: Promise<Outcome>;
  readonly settle: (outcome: Outcome) => void;
};

/**
 * Transactions that wait for the next ledger, in the order they came. Unlike today's network it takes several
 * of one source account at once, as long as their sequence numbers follow each other.
 */
export class Queue {
  #entries: Queued[] = [];
  readonly #byHash = new Map<string, Queued>();
  readonly #sequences = new Map<string, bigint>();

  get size(): number {
    return this.#entries.length;
  }

  find(hash: string): Queued | undefined {
    return this.#byHash.get(hash);
  }

  /** Last sequence number of an account, counting what is queued. */
  sequenceOf(entry: AccountEntry): bigint {
    return this.#sequences.get(entry.id) ?? entry.sequence;
  }

  add(envelope: Envelope, injection: Injection | null): Queued {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const queued = { envelope, injection, outcome: promise, settle: resolve };
    this.#entries.push(queued);
    this.#byHash.set(envelope.hash, queued);
    this.#sequences.set(sourceAccount(envelope), BigInt(envelope.transaction.sequence));
    return queued;
  }

  /** Empties the queue. */
  take(): Queued[] {
    const taken = this.#entries;
    this.#entries = [];
    this.#byHash.clear();
    this.#sequences.clear();
    return taken;
  }
}
