import { sleep } from "../backoff.js";
import { watchedAccounts } from "../entities/watched-accounts.js";
import { Doorbell } from "../horizon/doorbell.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger } from "../stellar/operation-id.js";
import { type IngestParts, ingestAccount } from "./account-ingest.js";
import { Bell } from "./bell.js";
import { withLeadership } from "./leader-lease.js";

export type IngestOptions = IngestParts & {
  /** Shown to operators as the leader of the accounts that this process leads. */
  readonly name: string;
  /** How often to look for new accounts and for leaders that are gone. */
  readonly electionMs?: number;
};

/**
 * Watches every account: leads those that nobody leads, stands by for the rest. One task per account; an
 * account that is halted or slow holds up no other.
 */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #stopping = new AbortController();
  readonly #tasks = new Map<AccountId, Promise<void>>();
  #running: Promise<void> | null = null;

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops after the append in hand, and gives the leadership back, so that another process need not wait. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopping"));
    await this.#running;
    await Promise.all(this.#tasks.values());
  }

  async #run(): Promise<void> {
    const { dataSource, logger, electionMs = 2_000 } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        for (const account of await watchedAccounts(dataSource.manager)) {
          if (!this.#tasks.has(account)) this.#tasks.set(account, this.#watch(account));
        }
      } catch (error) {
        logger.warn({ err: error }, "can't read which accounts to watch; those known go on");
      }
      await sleep(electionMs, signal);
    }
  }

  /** Leads whenever the place is free, until stopped. */
  async #watch(account: AccountId): Promise<void> {
    const { redis, name, logger, electionMs = 2_000 } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await withLeadership(redis, account, name, signal, (leading) => this.#lead(account, leading));
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error, account }, "leader election failed; trying again");
      }
      await sleep(electionMs, signal);
    }
  }

  async #lead(account: AccountId, signal: AbortSignal): Promise<void> {
    const bell = new Bell();
    const listening = this.#listen(account, bell, signal);
    await ingestAccount(this.#options, account, bell, signal);
    this.#options.observer?.left(account);
    await listening;
  }

  /** The stream tells when, pages tell what: an event that is late, repeated or missing costs time at most. */
  async #listen(account: AccountId, bell: Bell, signal: AbortSignal): Promise<void> {
    const { horizon, network, logger, pollMs } = this.#options;
    const doorbell = new Doorbell({
      url: horizon.url,
      onFailure: (error) => logger.debug({ err: error, account }, "the doorbell stream broke off"),
    });
    while (!signal.aborted) {
      try {
        // From the newest ledger on: what lies before it is fetched as pages anyway.
        const { historyLatestLedger } = await network.current(signal);
        await doorbell.listen(account, endOfLedger(historyLatestLedger), signal, () => bell.ring());
      } catch (error) {
        if (signal.aborted) return;
        // Pages go on at the poll interval meanwhile.
        logger.warn({ err: error, account }, "no doorbell stream; polling until there is one");
        await sleep(pollMs, signal);
      }
    }
  }
}
