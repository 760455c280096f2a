import type { Redis } from "ioredis";
import { sleep } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import { databaseFault } from "../entities/database-errors.js";
import { watchedAccounts } from "../entities/watched-accounts.js";
import { LockLostError, LockUnavailableError } from "../locks/errors.js";
import type { AccountId } from "../stellar/credit.js";
import {
  type Delivery,
  ensureGroup,
  holdOn,
  isNoGroupError,
  readNew,
  removeConsumer,
} from "./consumer-group.js";
import { type SettlingParts, settleDeliveries } from "./settle-deliveries.js";
import { sweep } from "./sweep.js";

export type ConsumerOptions = SettlingParts & {
  /** A connection of its own for blocking reads. */
  readonly blocking: Redis;
  /** Unique in the group, for ever: two processes under one name would mix up their pending entries. */
  readonly name: string;
  readonly batch: number;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  /** How long a read waits for new entries; also how long a stop can take at rest. */
  readonly blockMs?: number;
};

/** Wait before entries are tried again whose sessions another replica holds. */
const CONTENDED_PAUSE_MS = 25;

/** New accounts are noticed within this time. */
const REFRESH_ACCOUNTS_MS = 2_000;

/** Longest pause between tries while a server is away. */
const MAX_OUTAGE_PAUSE_MS = 2_000;

/**
 * One replica of the consumer group. The loop: read what is there, settle it in one transaction, acknowledge,
 * repeat; batches grow with load by themselves. Everything it holds in memory is also pending in Redis, and
 * everything in Redis can be fetched from Horizon again.
 */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #accounts: AccountId[] = [];
  #accountsReadAt = Number.NEGATIVE_INFINITY;
  #sweptAt = Number.NEGATIVE_INFINITY;
  /** Read but not settled: contended, or caught in an outage. */
  #inHand: Delivery[] = [];
  #inHandSince = 0;
  #failures = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops reading, finishes the batch in hand, acknowledges it, and leaves the group if nothing is pending. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    for (const account of this.#accounts) {
      await removeConsumer(this.#options.redis, account, this.#options.name).catch(() => false);
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#refreshAccounts();
        await this.#sweepWhenDue();
        await this.#readMore();
        await this.#settleInHand();
        this.#failures = 0;
      } catch (error) {
        await this.#standBack(error);
      }
    }
    // What is in hand: one more try, and if a server is away, another replica takes it over.
    const tries = Math.ceil(this.#inHand.length / this.#options.batch);
    for (let i = 0; i < tries; i++) await this.#settleInHand().catch(() => undefined);
  }

  async #refreshAccounts(): Promise<void> {
    if (performance.now() - this.#accountsReadAt < REFRESH_ACCOUNTS_MS) return;
    const accounts = await watchedAccounts(this.#options.dataSource.manager);
    for (const account of accounts.filter((known) => !this.#accounts.includes(known))) {
      await ensureGroup(this.#options.redis, account);
    }
    this.#accounts = accounts;
    this.#accountsReadAt = performance.now();
  }

  /** Takes over what dead replicas left, twice in each claim time. */
  async #sweepWhenDue(): Promise<void> {
    const { claimIdleMs, name, maxDeliveries, batch } = this.#options;
    if (performance.now() - this.#sweptAt < claimIdleMs / 2) return;
    this.#sweptAt = performance.now();
    for (const account of this.#accounts) {
      const options = { consumer: name, claimIdleMs, maxDeliveries, count: batch };
      this.#hold(await sweep(this.#options, account, options));
    }
  }

  async #readMore(): Promise<void> {
    const { blocking, name, batch, blockMs = 2_000 } = this.#options;
    const room = batch - this.#inHand.length;
    if (room <= 0) return;
    if (this.#accounts.length === 0) return sleep(blockMs / 4, this.#stopping.signal);
    // With entries in hand the wait is only as long as theirs.
    const wait = this.#inHand.length > 0 ? CONTENDED_PAUSE_MS : blockMs;
    try {
      this.#hold(await readNew(blocking, name, this.#accounts, room, wait));
    } catch (error) {
      // The answer is late or the socket is dead, and a dead one would hang every time: take a new one.
      if (error instanceof Error && error.message === "Command timed out") blocking.disconnect(true);
      throw error;
    }
    if (this.#inHand.length > 0) await checkpoint("consumer.after-read");
  }

  async #settleInHand(): Promise<void> {
    if (this.#inHand.length === 0) return;
    // A read brings up to one batch of each stream: many accounts must not become one huge transaction.
    const batch = this.#inHand.slice(0, this.#options.batch);
    const { setAside } = await settleDeliveries(this.#options, batch);
    // Taken out only now that it is done: whatever was thrown before, the batch is still in hand.
    this.#inHand = [...this.#inHand.slice(batch.length), ...setAside];
    if (this.#inHand.length > 0) await this.#keepClaim();
  }

  #hold(deliveries: readonly Delivery[]): void {
    if (deliveries.length === 0) return;
    if (this.#inHand.length === 0) this.#inHandSince = performance.now();
    const known = new Set(this.#inHand.map(idOf));
    this.#inHand.push(...deliveries.filter((delivery) => !known.has(idOf(delivery))));
  }

  /** Tells Redis that the entries in hand are being worked on, so that they don't count as abandoned. */
  async #keepClaim(): Promise<void> {
    if (performance.now() - this.#inHandSince < this.#options.claimIdleMs / 3) return;
    this.#inHandSince = performance.now();
    await holdOn(this.#options.redis, this.#options.name, this.#inHand);
  }

  /** After a failure: says what it means, once per outage, and waits before the next round. */
  async #standBack(error: unknown): Promise<void> {
    const { logger, redis } = this.#options;
    this.#failures++;
    if (isNoGroupError(error)) {
      logger.warn("the consumer group is gone: Redis lost its data; making it again");
      for (const account of this.#accounts) await ensureGroup(redis, account).catch(() => undefined);
    } else if (error instanceof LockLostError) {
      logger.warn({ err: error }, "lock lost in the middle; the batch is tried again");
    } else if (this.#failures === 1) {
      const what =
        databaseFault(error) !== null
          ? "the database can't serve; nothing is acknowledged until it can"
          : error instanceof LockUnavailableError
            ? "no lock quorum and LOCKS=required; waiting"
            : "the batch failed; it is tried again";
      logger.error({ err: error, inHand: this.#inHand.length }, what);
    }
    await this.#keepClaim().catch(() => undefined);
    await sleep(Math.min(MAX_OUTAGE_PAUSE_MS, 20 * 2 ** this.#failures), this.#stopping.signal);
  }
}

function idOf({ account, entry }: Delivery): string {
  return `${account} ${entry[0]}`;
}
