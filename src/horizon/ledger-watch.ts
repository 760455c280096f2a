import type { Logger } from "pino";
import { sleep, within } from "../backoff.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { CONDITION_WORDS, type ServerCondition } from "./condition.js";
import { HorizonError } from "./errors.js";
import { LedgerClock } from "./ledger-clock.js";
import type { NetworkView } from "./network-view.js";
import { type LedgerHead, QUIET_LAG_MS } from "./reach.js";

/**
 * How the processes that ask one server share their looks, so that four replicas cost no more than one. Only when to look
 * goes through it, never what was found: what it says may be forged, lost or late.
 */
export type SharedLooks = {
  /**
   * Whether this process is the one that looks now. Another one may after `ms`, or as soon as this one has released.
   * True where nobody can say.
   */
  claim(ms: number): Promise<boolean>;
  release(): void;
  /** Tells the others that there is a newer ledger. */
  announce(sequence: LedgerSequence): void;
  /** Calls back on what others announce. */
  onAnnounced(listener: (sequence: number) => void): void;
  close(): void;
};

/** One process alone. */
export const LOOKS_ALONE: SharedLooks = {
  claim: async () => true,
  release: () => undefined,
  announce: () => undefined,
  onAnnounced: () => undefined,
  close: () => undefined,
};

export type LedgerWatchOptions = {
  readonly client: HorizonClient;
  readonly network: NetworkView;
  readonly logger: Logger;
  readonly looks: SharedLooks;
  /** The longest wait between two looks, in milliseconds. */
  readonly mostMs: number;
  readonly condition: ServerCondition;
};

/** Ledgers of one look: what is further behind is read without knowing each. */
const LEDGERS = 20;

/** For how long others wait for the one that looks. */
const LOOK_MS = 1_000;

/** The client's own time-outs end a look far sooner. */
const LONGER_THAN_A_LOOK_MS = 600_000;

/** What others announce is believed for so long without a look of one's own, in milliseconds: money is proved by those alone. */
const OWN_LOOK_EVERY_MS = 20_000;

/** By so many ledgers an announced one may be ahead of those that this process has looked at itself. */
const MOST_AHEAD = 60;

/** Heads that are kept, to know one that is old enough: one in so many milliseconds of the network's time. */
const KEPT_EVERY_MS = 15_000;
const KEPT = 3 + QUIET_LAG_MS / KEPT_EVERY_MS;

/** A ledger overdue by this, and by three ledgers' time, is no late one: the server or the network stands still. */
const OVERDUE_MS = 15_000;

/** How often to ask which of the two it is. */
const ASK_WHY_EVERY_MS = 15_000;

/** By so many ledgers a server may be behind its own core while it is well: it ingests each after it has closed. */
const WELL_WITHIN = 3;

/**
 * Follows the ledgers as they close: asks the server just after the next one should be in, again shortly if it is not
 * yet, and ever more seldom while the network stands still. Feeds read their pages when it calls.
 *
 * It uses no stream: a server looks for new ledgers every 5 s for a stream, each look counts against the rate limit as a
 * request does, and a payer would wait for the look (0 to 5 s).
 */
export class LedgerWatch {
  readonly condition: ServerCondition;
  readonly #options: LedgerWatchOptions;
  readonly #clock: LedgerClock;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  #newest: LedgerHead | null = null;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #newestAt = performance.now();
  #askedWhyAt = Number.NEGATIVE_INFINITY;
  #announced = 0;
  /** The newest ledger that the listeners have been called for, after a look or an announcement. */
  #calledFor = 0;
  /** Old heads, the oldest first. */
  #kept: LedgerHead[] = [];
  /** The newest ledger that had operations, and from where on every ledger is known. */
  #lastWithOperations: LedgerSequence | null = null;
  #knownFrom: LedgerSequence | null = null;
  #looking: Promise<void> | null = null;
  #wake: () => void = () => undefined;
  #running: Promise<void> | null = null;

  constructor(options: LedgerWatchOptions) {
    this.#options = options;
    this.condition = options.condition;
    this.#clock = new LedgerClock({ mostMs: options.mostMs });
    options.looks.onAnnounced((sequence) => {
      const newest = this.#newest?.sequence ?? sequence;
      // If a forged one that is far ahead counted, every true one would be ignored.
      if (sequence <= this.#announced || sequence > newest + MOST_AHEAD) return;
      this.#announced = sequence;
      this.#clock.found(sequence, performance.now());
      this.#wake();
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopping"));
    this.#wake();
    await this.#running;
    this.#options.looks.close();
  }

  /** Mean time from ledger to ledger, in milliseconds. */
  get ledgerMs(): number {
    return this.#clock.ledgerMs;
  }

  /** The newest ledger by the server's answers to this process; null before the first. */
  newest(): LedgerHead | null {
    return this.#newest;
  }

  /**
   * The newest ledger of those that the server named when the network was QUIET_LAG_MS younger; null while this process
   * has not watched for so long. What it says may move a cursor: see reach.ts.
   */
  quiet(): LedgerHead | null {
    const newest = this.#newest;
    if (newest === null) return null;
    const limit = newest.closedAt.getTime() - QUIET_LAG_MS;
    return this.#kept.findLast(({ closedAt }) => closedAt.getTime() <= limit) ?? null;
  }

  /**
   * Whether no ledger after this one had an operation, by the server's answers: then there is no page to ask for.
   * One ledger more counts as having some: behind a balancer the page may have come from a server that was not so far.
   * Of a ledger that another process has announced nothing is known: a payer would wait for this process's own look.
   */
  isQuietSince({ sequence }: LedgerHead): boolean {
    if (this.#announced > (this.#newest?.sequence ?? 0)) return false;
    if (this.#knownFrom === null || sequence < this.#knownFrom) return false;
    return this.#lastWithOperations === null || this.#lastWithOperations < sequence;
  }

  /** Calls back whenever there is a newer ledger, until the returned function is called. */
  onLedger(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#wake();
    return () => this.#listeners.delete(listener);
  }

  /**
   * The newest ledger; asks the server where this process knows none yet.
   * @throws HorizonError, WrongNetworkError; the signal's reason
   */
  async first(signal: AbortSignal): Promise<LedgerHead> {
    await this.#options.network.current(signal);
    while (this.#newest === null) {
      signal.throwIfAborted();
      await this.#lookOnce(signal);
      // A server that has no ledger yet: it begins to ingest.
      if (this.#newest === null) await sleep(this.#options.mostMs, signal);
    }
    return this.#newest;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // This process reads no feed: the others look for those that they read.
      if (this.#listeners.size === 0) await this.#pause(this.#options.mostMs);
      else {
        // What came in during the last turn woke nobody: it must not wait for the ledger after it.
        if (!this.#hasNews())
          await this.#pause(this.#clock.wait(performance.now(), this.#options.client.isScarce));
        if (!signal.aborted) await this.#turn();
      }
    }
  }

  async #turn(): Promise<void> {
    const { looks } = this.#options;
    if (this.#hasNews()) {
      if (performance.now() - this.#lookedAt < OWN_LOOK_EVERY_MS) return this.#call(this.#announced);
      // Not believed without a look, and not asked about twice.
      this.#calledFor = this.#announced;
    } else if (!(await looks.claim(LOOK_MS))) {
      // Another process looks, and will announce what it finds. It is no look: the clock learns nothing from it.
      return this.#hasNews() ? undefined : this.#pause(this.#clock.soon);
    }
    try {
      await this.#lookOnce(this.#stopping.signal);
      if (this.#isOverdue()) await this.#askWhy();
    } catch (error) {
      looks.release();
      await this.#standBack(error);
    }
    looks.release();
  }

  /** Whether another process has announced a ledger that the listeners were not called for. */
  #hasNews(): boolean {
    return this.#announced > this.#calledFor;
  }

  /** One look at a time, however many ask. */
  async #lookOnce(signal: AbortSignal): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    await within(LONGER_THAN_A_LOOK_MS, this.#looking, null, signal);
    signal.throwIfAborted();
  }

  async #look(): Promise<void> {
    const { client, looks } = this.#options;
    const { signal } = this.#stopping;
    const before = this.#newest;
    let heads = await client.ledgers(before?.sequence ?? null, LEDGERS, signal);
    // Far behind, after an outage: the rest is not learnt one by one.
    if (before !== null && heads.length === LEDGERS) heads = await client.ledgers(null, 1, signal);
    this.#lookedAt = performance.now();
    const newest = heads.at(-1);
    if (newest === undefined || newest.sequence <= (before?.sequence ?? 0)) {
      this.#clock.missed(performance.now());
      return;
    }
    this.#learn(before, heads, newest);
    this.#clock.found(newest.sequence, performance.now());
    this.#announced = newest.sequence;
    looks.announce(newest.sequence);
    if (this.condition.set("ok"))
      this.#options.logger.info({ ledger: newest.sequence }, "Horizon serves new ledgers again");
    this.#call(newest.sequence);
  }

  #learn(before: LedgerHead | null, heads: readonly LedgerHead[], newest: LedgerHead): void {
    const isWhole = before !== null && heads.every(({ sequence }, i) => sequence === before.sequence + 1 + i);
    if (!isWhole) {
      this.#knownFrom = newest.sequence;
      this.#lastWithOperations = newest.sequence;
    } else {
      const busy = heads.findLast(({ operations }) => operations !== 0);
      if (busy !== undefined) this.#lastWithOperations = busy.sequence;
    }
    this.#newest = newest;
    this.#newestAt = performance.now();
    const last = this.#kept.at(-1);
    if (last === undefined || newest.closedAt.getTime() - last.closedAt.getTime() >= KEPT_EVERY_MS) {
      this.#kept = [...this.#kept, newest].slice(-KEPT);
    }
  }

  #isOverdue(): boolean {
    const waited = performance.now() - this.#newestAt;
    return waited > OVERDUE_MS && waited > 3 * this.#clock.ledgerMs;
  }

  /** No new ledger for long: a server that is behind its own core, or a network that stands still? */
  async #askWhy(): Promise<void> {
    const { network, logger } = this.#options;
    if (performance.now() - this.#askedWhyAt < ASK_WHY_EVERY_MS) return;
    this.#askedWhyAt = performance.now();
    const { coreLatestLedger, historyLatestLedger } = await network.refresh(this.#stopping.signal);
    const isBehind = coreLatestLedger - historyLatestLedger > WELL_WITHIN;
    const detail = isBehind
      ? `it has ledger ${historyLatestLedger}, its core has ${coreLatestLedger}`
      : `ledger ${historyLatestLedger} is the newest that it and its core have`;
    const name = isBehind ? "behind" : "paused";
    if (this.condition.set(name, detail)) logger.warn({ detail }, CONDITION_WORDS[name]);
  }

  async #standBack(error: unknown): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    const isNews = this.condition.failed(error);
    const { name, detail } = this.condition.current;
    if (isNews && name !== "ok") this.#options.logger.warn({ detail }, CONDITION_WORDS[name]);
    else if (!(error instanceof HorizonError)) {
      this.#options.logger.error({ err: error }, "can't follow the network's ledgers; trying again");
    }
    this.#clock.missed(performance.now());
    await sleep(error instanceof HorizonError ? (error.retryAfterMs ?? 0) : this.#options.mostMs, signal);
  }

  #call(ledger: number): void {
    this.#calledFor = ledger;
    for (const listener of [...this.#listeners]) listener();
  }

  async #pause(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(ms, AbortSignal.any([woken.signal, this.#stopping.signal]));
    this.#wake = () => undefined;
  }
}

/** Where everything up to a ledger has been read. */
export function endOf({ sequence }: LedgerHead): OperationId {
  return endOfLedger(sequence);
}
