import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { accountsByThemselves } from "../entities/watched-accounts.js";
import { Doorbell } from "../horizon/doorbell.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger } from "../stellar/operation-id.js";
import { ingestAccount } from "./account-ingest.js";
import { Bell } from "./bell.js";
import type { IngestParts } from "./feed-ingest.js";
import { withLeadership } from "./leader-lease.js";
import { ingestNetwork } from "./network-ingest.js";
import { JOIN_EVERY_MS, leadNetwork, type NetworkOptions, readMode } from "./network-lead.js";
import { type FeedName, NETWORK } from "./stream-keys.js";

export type IngestOptions = IngestParts & {
  /** Shown to operators as the leader of the feeds that this process leads. */
  readonly name: string;
  /** How often to look for new accounts and for leaders that are gone. */
  readonly electionMs?: number;
  /** When accounts are read together, from the network's feed; never where not given. */
  readonly networkMode?: NetworkOptions;
};

const ELECTION_MS = 2_000;

/** Where accounts are read together, a new one has so many occasions to join before it is read by itself. */
const OCCASIONS_TO_JOIN = 3;

/** A feed that this process leads or stands by for. */
type Task = { readonly ended: Promise<void>; stop(): void };

/**
 * Watches every account: leads those that nobody leads, stands by for the rest. One task per account, and one for all that
 * are read from the network's feed; an account that is halted or slow holds up no other.
 */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #stopping = new AbortController();
  readonly #tasks = new Map<AccountId, Task>();
  /** Accounts that may still join the network's feed, and since when. */
  #newcomers = new Map<AccountId, number>();
  #running: Promise<unknown> | null = null;

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  start(): void {
    const { networkMode } = this.#options;
    this.#running ??= Promise.all([
      this.#run(),
      networkMode &&
        this.#watch(NETWORK, this.#stopping.signal, (signal) => this.#leadNetwork(networkMode, signal)),
    ]);
  }

  /** Stops after the append in hand, and gives the leadership back, so that another process need not wait. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopping"));
    await this.#running;
    await Promise.all([...this.#tasks.values()].map(({ ended }) => ended));
  }

  async #run(): Promise<void> {
    const { dataSource, logger, electionMs = ELECTION_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const accounts = await accountsByThemselves(dataSource.manager);
        const byThemselves = new Set(accounts);
        // Those that have joined the network's feed, which begins where they were.
        for (const [account, task] of this.#tasks) if (!byThemselves.has(account)) task.stop();
        for (const account of await this.#dueOf(dataSource, accounts)) {
          if (!this.#tasks.has(account)) this.#begin(account);
        }
      } catch (error) {
        logger.warn({ err: error }, "can't read which accounts to watch; those known go on");
      }
      await sleep(electionMs, signal);
    }
  }

  /**
   * All of them; but where accounts are read together, not those that came a moment ago: of a hundred thousand that are
   * about to join each would open a stream of its own first. Their credits wait at Horizon meanwhile.
   */
  async #dueOf(dataSource: DataSource, accounts: readonly AccountId[]): Promise<readonly AccountId[]> {
    const { networkMode } = this.#options;
    if (networkMode === undefined || !(await readMode(dataSource, networkMode)).isWanted) return accounts;
    const now = performance.now();
    const patience = OCCASIONS_TO_JOIN * (networkMode.joinEveryMs ?? JOIN_EVERY_MS);
    const seen = this.#newcomers;
    this.#newcomers = new Map(accounts.map((account) => [account, seen.get(account) ?? now]));
    return accounts.filter((account) => now - (this.#newcomers.get(account) ?? now) >= patience);
  }

  #begin(account: AccountId): void {
    const stopping = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, stopping.signal]);
    const ended = this.#watch(account, signal, (leading) => this.#lead(account, leading)).finally(() => {
      this.#tasks.delete(account);
    });
    this.#tasks.set(account, { ended, stop: () => stopping.abort(new Error("in the network's feed")) });
  }

  /** Leads whenever the place is free, until stopped. */
  async #watch(
    feed: FeedName,
    signal: AbortSignal,
    lead: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { redis, name, logger, electionMs = ELECTION_MS } = this.#options;
    while (!signal.aborted) {
      try {
        await withLeadership(redis, feed, name, signal, lead);
      } catch (error) {
        if (!signal.aborted)
          logger.warn({ err: error, account: feed }, "leader election failed; trying again");
      }
      await sleep(electionMs, signal);
    }
  }

  async #lead(account: AccountId, signal: AbortSignal): Promise<void> {
    const bell = new Bell();
    // The feed may end before the signal: then nobody listens any more either.
    const over = new AbortController();
    const listening = this.#listen(account, bell, AbortSignal.any([signal, over.signal]));
    await ingestAccount(this.#options, account, bell, signal);
    over.abort();
    this.#options.observer?.left(account);
    await listening;
  }

  async #leadNetwork(options: NetworkOptions, signal: AbortSignal): Promise<void> {
    const read = async (leading: AbortSignal) => {
      const bell = new Bell();
      const over = new AbortController();
      const listening = this.#listen("ledgers", bell, AbortSignal.any([leading, over.signal]));
      await ingestNetwork(this.#options, bell, leading);
      over.abort();
      this.#options.observer?.left(NETWORK);
      await listening;
    };
    await leadNetwork(this.#options, options, read, signal);
  }

  /** The stream tells when, pages tell what: an event that is late, repeated or missing costs time at most. */
  async #listen(source: AccountId | "ledgers", bell: Bell, signal: AbortSignal): Promise<void> {
    const { horizon, network, logger, pollMs } = this.#options;
    const doorbell = new Doorbell({
      url: horizon.url,
      onFailure: (error) => logger.debug({ err: error, source }, "the doorbell stream broke off"),
    });
    while (!signal.aborted) {
      try {
        // From the newest ledger on: what lies before it is fetched as pages anyway.
        const { historyLatestLedger } = await network.current(signal);
        await doorbell.listen(source, endOfLedger(historyLatestLedger), signal, () => bell.ring());
      } catch (error) {
        if (signal.aborted) return;
        // Pages go on at the poll interval meanwhile.
        logger.warn({ err: error, source }, "no doorbell stream; polling until there is one");
        await sleep(pollMs, signal);
      }
    }
  }
}
