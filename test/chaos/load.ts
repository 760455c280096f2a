import { setTimeout as sleep } from "node:timers/promises";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import { carryOut } from "./carry-out.js";
import { Dice } from "./dice.js";
import { nextOrder, type Order, type OrderKind } from "./orders.js";
import type { BulkPayment } from "./sandbox-client.js";
import type { World } from "./world.js";

/** Customers that are served at once. */
const AT_ONCE = 16;

/** Orders that wait at the most: while Postgres is away nobody can order, and nobody comes back in a crowd. */
const MOST_WAITING = 400;

/** Nobody new orders while the books are so many seconds behind: a slow machine has its own steady rate. */
const MOST_BEHIND_S = 30;

/** What a bundle brought: what customers sign themselves may be dropped, fail or be lost on its way. */
const BOOKED = "SELECT count(*)::int AS n FROM credits WHERE sender <> ALL ($1::text[])";

/** Payments go to the network in a bundle this often. */
const BUNDLE_MS = 200;

/** A payment on its way to the next ledger. */
export type Payment = Omit<BulkPayment, "amount"> & {
  readonly amount: bigint;
  /** Null: none. */
  readonly memoKey: string | null;
};

/** The steady stream of customers. The same seed brings the same orders in the same order. */
export class Load {
  /** Payments in bundles that the network has taken: each is credited for certain. */
  #sent = 0;
  readonly #dice: Dice;
  readonly #waiting: Order[] = [];
  readonly #stopping = new AbortController();
  #bundle: Payment[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #number = 0;
  #isBehind = false;
  /** Postponed payments and the like, which the end waits for. */
  readonly #later = new Set<Promise<unknown>>();
  /** The first thing that went wrong in the driver itself. */
  failure: unknown = null;

  constructor(
    readonly world: World,
    seed: number,
    /** Orders per second. */
    readonly rate: number,
  ) {
    this.#dice = new Dice(seed);
  }

  start(): void {
    const customers = Array.from({ length: AT_ONCE }, () => this.#serve());
    this.#running = Promise.all([this.#order(), this.#watch(), this.#send(), ...customers]).catch(
      (error: unknown) => {
        this.failure ??= error;
      },
    );
  }

  /** Orders that were carried out. */
  get counts(): ReadonlyMap<OrderKind, number> {
    return this.world.ledger.orders;
  }

  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** No new customers; resolves when all that was begun has been paid. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    // What ends may begin something else: a session that the API created at last is paid.
    do {
      await Promise.all(this.#later);
      await this.#flush();
    } while (this.#later.size > 0 || this.#bundle.length > 0);
  }

  /** Pays in the next bundle. */
  pay(payment: Payment): void {
    this.#bundle.push(payment);
  }

  /** Does something after a while; the end of the load waits for it. */
  later(ms: number, work: () => void): void {
    const done: Promise<unknown> = sleep(ms)
      .then(work)
      .finally(() => this.#later.delete(done));
    this.#later.add(done);
  }

  /** Work that may take as long as it likes. */
  aside(work: Promise<unknown>): void {
    const done: Promise<unknown> = work
      .catch((error: unknown) => {
        this.failure ??= error;
      })
      .finally(() => this.#later.delete(done));
    this.#later.add(done);
  }

  async #order(): Promise<void> {
    let last = performance.now();
    let due = 0;
    while (!this.signal.aborted) {
      await sleep(100, undefined, { signal: this.signal }).catch(() => undefined);
      const now = performance.now();
      due += this.#isBehind ? 0 : ((now - last) / 1000) * this.rate;
      last = now;
      for (; due >= 1; due--) {
        if (this.#waiting.length >= MOST_WAITING) continue;
        this.#waiting.push(nextOrder(this.#dice, ++this.#number, this.world.street.shops.length));
      }
    }
  }

  async #watch(): Promise<void> {
    const { dataSource, street } = this.world;
    const customers = street.customers.map((key) => key.publicKey());
    while (!this.signal.aborted) {
      const [row] = await dataSource.query<{ n: number }[]>(BOOKED, [customers]).catch(() => []);
      if (row !== undefined) this.#isBehind = this.#sent - row.n > MOST_BEHIND_S * this.rate;
      await sleep(2_000, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  async #serve(): Promise<void> {
    while (!this.signal.aborted) {
      const order = this.#waiting.shift();
      if (order === undefined) {
        await sleep(20);
        continue;
      }
      await carryOut(this.world, this, order);
    }
  }

  async #send(): Promise<void> {
    while (!this.signal.aborted) {
      await sleep(BUNDLE_MS, undefined, { signal: this.signal }).catch(() => undefined);
      await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const payments = this.#bundle;
    this.#bundle = [];
    if (payments.length === 0) return;
    const hashes = await this.world.sandbox.bulk(
      payments.map(({ memoKey: _, amount, ...rest }) => ({
        ...rest,
        amount: formatStroops(amount as Stroops),
      })),
    );
    for (const [i, { memoKey }] of payments.entries()) this.world.ledger.sent(hashes[i] ?? "", memoKey);
    this.#sent += payments.length;
  }
}
