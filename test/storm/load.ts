import { setTimeout as sleep } from "node:timers/promises";
import { askOnce, askUntilTold, bodyOf, cancelCharge, type Wish } from "./ask.js";
import { Endings } from "./endings.js";
import type { StormOrder } from "./orders.js";
import { Payers, type Signed } from "./payers.js";
import type { Ordered, Told } from "./verdict.js";
import type { StormShop, StormWorld } from "./world.js";

/** Clients of each provider that wait for an answer at the same time, at the most. */
const AT_ONCE = 24;

/**
 * More than two workers make at the same time. Beyond that they would only be later and later, and what payers have
 * signed would expire before anybody sends it.
 */
const MOST_OPEN = 300;

const LOOK_EVERY_MS = 100;

/** Servers that lag behind tell a payer's last number but one: three ledgers, and some more. */
const LAG_MS = 1_500;

/** Carries the orders out: so many a second, and never more at once than the service answers. */
export class StormLoad {
  readonly ordered: Ordered[] = [];
  readonly counts = { cancelled: 0, "too late to cancel": 0 };
  readonly payers: Payers;
  readonly #endings: Endings;
  readonly #stopping = new AbortController();
  /** What payers still do, when the client has its answer. */
  readonly #aside = new Set<Promise<unknown>>();

  constructor(
    private readonly world: StormWorld,
    private readonly orders: readonly StormOrder[],
    /** A second. */
    private readonly rate: number,
  ) {
    this.payers = new Payers(world.sandbox.url, world.payers, world.stranger);
    this.#endings = new Endings(world.dataSource);
  }

  /** Resolves when each order has its answer, or has none for minutes. @param onProgress told of how many have one */
  async run(onProgress: (done: number) => void): Promise<void> {
    this.#endings.start();
    const startedAt = performance.now();
    // Apart: where no payer is free, cards are charged all the same.
    const lines = Map.groupBy(this.orders, ({ provider }) => provider);
    const client = async (line: Iterator<StormOrder, undefined>) => {
      for (let { value: order } = line.next(); order !== undefined; { value: order } = line.next()) {
        const at = startedAt + (order.number * 1_000) / this.rate;
        if (at > performance.now()) await this.#wait(at - performance.now());
        while (this.#endings.open > MOST_OPEN && !this.#stopping.signal.aborted)
          await this.#wait(LOOK_EVERY_MS);
        if (this.#stopping.signal.aborted) return;
        this.ordered.push(await this.#carryOut(order));
        onProgress(this.ordered.length);
      }
    };
    const clients = [...lines.values()].flatMap((orders) => {
      const line = orders.values();
      return Array.from({ length: AT_ONCE }, () => client(line));
    });
    await Promise.all(clients);
  }

  /** Resolves when no payer sends anything any more: their charges have ended. */
  async settled(): Promise<void> {
    while (this.#aside.size > 0) await Promise.all(this.#aside);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#endings.stop();
  }

  async #carryOut(order: StormOrder): Promise<Ordered> {
    const shop = this.world.shops[order.shop];
    if (shop === undefined) throw new Error(`no shop ${order.shop}`);
    const { reference, provider, amount, manner, paying } = order;
    const more = {
      hasLeft: manner === "leaves",
      paysAnyway: provider === "stellar" && (paying === "payer first" || paying === "although cancelled"),
    };
    const told = { reference, provider, amount, ...more };
    if (provider === "stripe") return { ...told, answers: await this.#ask(order, shop, null) };
    const payer = await this.payers.take();
    const signed = await this.payers.sign(payer, order, shop);
    const first = paying === "payer first" ? this.payers.send(signed) : undefined;
    const answers = await this.#ask(order, shop, signed);
    const isAccepted = answers.some(({ kind }) => kind !== "refused");
    const pays = Promise.all([first, isAccepted ? this.#pay(order, signed) : undefined]);
    const over = Promise.all([
      pays,
      isAccepted || answers.length === 0 ? this.#endings.of(reference) : undefined,
    ]).then(async () => {
      await this.#wait(LAG_MS);
      this.payers.giveBack(payer);
    });
    this.#aside.add(over);
    void over.finally(() => this.#aside.delete(over));
    return { ...told, answers };
  }

  async #pay({ paying, reference }: StormOrder, signed: Signed): Promise<void> {
    if (paying === "payer too" || paying === "although cancelled") await this.payers.send(signed);
    if (paying === "bumped") await this.payers.bump(signed, reference);
  }

  async #ask(order: StormOrder, shop: StormShop, signed: Signed | null): Promise<readonly Told[]> {
    const { number, reference, manner, patienceMs } = order;
    const { apis } = this.world;
    const wish: Wish = { shop, key: reference, body: bodyOf(order, shop, signed?.envelope ?? null) };
    const ask = (first: number, one = wish) => askUntilTold(apis, one, first, this.#stopping.signal);
    const hangUp = () => askOnce(apis[number % 2] ?? "", wish, AbortSignal.timeout(patienceMs));
    switch (manner) {
      case "patient":
        return told(await ask(number));
      case "twice at once":
        return told(...(await Promise.all([ask(0), ask(1)])));
      case "gives up and repeats":
        return told(await hangUp(), await ask(number + 1));
      case "under two keys":
        return told(...(await Promise.all([ask(0), ask(1, { ...wish, key: `${reference}-again` })])));
      case "leaves":
        return told(await hangUp());
      case "cancels": {
        const answer = await ask(number);
        if (answer?.kind === "accepted") await this.#cancel(wish, answer.chargeId);
        return told(answer);
      }
    }
  }

  async #cancel(wish: Wish, chargeId: string): Promise<void> {
    const isCancelled = await cancelCharge(this.world.apis, wish, chargeId, this.#stopping.signal);
    if (isCancelled === true) this.counts.cancelled++;
    if (isCancelled === false) this.counts["too late to cancel"]++;
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}

function told(...answers: readonly (Told | null)[]): Told[] {
  return answers.filter((answer) => answer !== null);
}
