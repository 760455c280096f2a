import type { DataSource } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { sleep } from "../backoff.js";
import { accountsByThemselves } from "../entities/stream-cursor.js";
import type { RedisClient } from "../redis/client.js";
import type { AccountId } from "../stellar/credit.js";
import { type FeedName, leaderKey, NETWORK } from "../stream/stream-keys.js";
import { AccountFeed } from "./account-feed.js";
import type { Feed, IngestParts } from "./feed.js";
import { FeedLeader, Notifier } from "./lead-feed.js";
import { NetworkFeed } from "./network-feed.js";
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
    const ended = this.#watch(account, signal, (leading) =>
      this.#lead(new AccountFeed(this.#options, account), leading),
    ).finally(() => {
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

  async #leadNetwork(options: NetworkOptions, signal: AbortSignal): Promise<void> {
    const read = (sizes: NetworkSizes, leading: AbortSignal) =>
      this.#lead(new NetworkFeed(this.#options, sizes), leading);
    await leadNetwork(this.#options, options, read, signal);
  }

  async #lead(feed: Feed, signal: AbortSignal): Promise<void> {
    const { ledgers, observer } = this.#options;
    const notifier = new Notifier();
    const unsubscribe = ledgers.onLedger(() => notifier.notify());
    try {
      await new FeedLeader(this.#options, feed, notifier, signal).run();
    } finally {
      unsubscribe();
      observer?.left(feed.name);
    }
  }
}

/** How long a dead leader keeps the others waiting. */
const LEASE_MS = 10_000;
const RENEW_EVERY_MS = 3_000;

/** Only the holder's own token renews or releases: a leader that was paused must not touch its successor's. */
const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`;
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * Runs `lead` if this process becomes the leader of the feed's ingest, until it returns or the
 * leadership is lost; then `signal` aborts.
 *
 * One leader saves Horizon requests; two do no harm, since appends are checked against the tail.
 * @param name shown to operators as the leader
 * @returns whether `lead` ran
 */
export async function withLeadership(
  redis: RedisClient,
  feed: FeedName,
  name: string,
  outer: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const key = leaderKey(feed);
  const token = `${name} ${uuidv4()}`;
  if ((await redis.set(key, token, "PX", LEASE_MS, "NX")) !== "OK") return false;
  const lost = new AbortController();
  let validUntil = performance.now() + LEASE_MS;
  const timer = setInterval(async () => {
    const askedAt = performance.now();
    const renewed = await redis.eval(RENEW, 1, key, token, LEASE_MS).catch(() => null);
    if (renewed === 1) validUntil = askedAt + LEASE_MS;
    // Not ours any more, or unknown for a whole lease: somebody else may lead by now.
    else if (renewed === 0 || performance.now() > validUntil) lost.abort(new Error("leadership lost"));
  }, RENEW_EVERY_MS);
  try {
    await lead(AbortSignal.any([outer, lost.signal]));
  } finally {
    clearInterval(timer);
    await redis.eval(RELEASE, 1, key, token).catch(() => undefined);
  }
  return true;
}
