import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { accountsByThemselves } from "../entities/watched-accounts.js";
import type { AccountId } from "../stellar/credit.js";
import { type FeedName, NETWORK } from "../stream/stream-keys.js";
import { ingestAccount } from "./account-ingest.js";
import { Bell } from "./bell.js";
import type { IngestParts } from "./feed-ingest.js";
import { withLeadership } from "./leader-lease.js";
import { ingestNetwork } from "./network-ingest.js";
import { JOIN_EVERY_MS, leadNetwork, type NetworkOptions, readState } from "./network-lead.js";
import { fitsOneByOne, type NetworkSizes } from "./network-mode.js";

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
    const { networkMode, ledgers } = this.#options;
    ledgers.start();
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
    await this.#options.ledgers.stop();
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
   * All of them; but where accounts are read together, or can't each be read by itself within the budget, not those that
   * came a moment ago: of a hundred thousand that are about to join each would be read by itself first. Their credits
   * wait at Horizon meanwhile.
   */
  async #dueOf(dataSource: DataSource, accounts: readonly AccountId[]): Promise<readonly AccountId[]> {
    const { networkMode, ledgers } = this.#options;
    if (networkMode === undefined || networkMode.mode === "off") return accounts;
    const { isOn } = await readState(dataSource);
    const mayJoin =
      isOn || networkMode.mode === "on" || !fitsOneByOne(networkMode, accounts.length, ledgers.ledgerMs);
    if (!mayJoin) return accounts;
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
    await this.#reading(account, (bell) => ingestAccount(this.#options, account, bell, signal));
  }

  async #leadNetwork(options: NetworkOptions, signal: AbortSignal): Promise<void> {
    const read = (sizes: NetworkSizes, leading: AbortSignal) =>
      this.#reading(NETWORK, (bell) => ingestNetwork(this.#options, sizes, bell, leading));
    await leadNetwork(this.#options, options, read, signal);
  }

  /** Reads a feed that is called with each ledger. */
  async #reading(feed: FeedName, read: (bell: Bell) => Promise<void>): Promise<void> {
    const bell = new Bell();
    const stopCalling = this.#options.ledgers.onLedger(() => bell.ring());
    try {
      await read(bell);
    } finally {
      stopCalling();
      this.#options.observer?.left(feed);
    }
  }
}
