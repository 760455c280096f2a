import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { SharedPostgres } from "../support/database.js";
import { buy } from "./customer.js";
import { openNaive, type ShopSettings } from "./naive.js";
import { openOurs } from "./ours.js";
import { isCrash, type Order, planOrders, SCENARIOS } from "./plan.js";
import { openProvider } from "./provider.js";
import { openRoad } from "./road.js";
import type { Shop } from "./shop.js";
import { judge, type Line } from "./verdict.js";

/** Customers who buy at the same time. */
const AT_ONCE = 8;

/** A shop that starts has answered who waits for it by then, if it can at all. */
const SETTLES_WITHIN_MS = 1_500;

export type Contrast = {
  readonly seed: number;
  readonly perScenario: number;
  readonly sides: readonly { readonly title: string; readonly lines: readonly Line[] }[];
};

/**
 * Sends the same customers, with the same things going wrong, to a shop that calls its provider and then saves, and to
 * paidonce; then compares what the provider took with what each shop has in its books.
 * @param say told about progress
 */
export async function contrast(
  postgres: SharedPostgres,
  { seed, perScenario }: { readonly seed: number; readonly perScenario: number },
  say: (line: string) => void,
): Promise<Contrast> {
  const orders = planOrders(seed, perScenario);
  const sides = [];
  for (const open of [openNaive, openOurs]) sides.push(await sell(postgres, orders, open, say));
  return { seed, perScenario, sides };
}

async function sell(
  postgres: SharedPostgres,
  orders: readonly Order[],
  open: (settings: ShopSettings) => Promise<Shop>,
  say: (line: string) => void,
): Promise<Contrast["sides"][number]> {
  await using stack = new AsyncDisposableStack();
  const provider = await openProvider();
  stack.defer(() => provider.stop());
  const byReference = new Map(orders.map((order) => [order.reference, order]));
  const crashes = new Map<string, () => void>();
  const road = await openRoad({
    to: provider.url,
    roadOf: (reference) => {
      const order = byReference.get(reference);
      return order === undefined ? "open" : SCENARIOS[order.scenario].road;
    },
    crash: (reference) => crashes.get(reference)?.(),
  });
  stack.defer(() => road.close());
  const databaseUrl = await emptyDatabase(postgres, open.name.toLowerCase());
  const shop = await open({ databaseUrl, providerUrl: road.url, providerKey: provider.key });
  stack.defer(() => shop.stop());

  const waiting: Promise<void>[] = [];
  const buyOne = async (order: Order) => {
    if (!isCrash(order.scenario)) return await buy(shop, order);
    const { promise: crashed, resolve } = Promise.withResolvers<void>();
    crashes.set(order.reference, () => {
      shop.crash();
      resolve();
    });
    const bought = buy(shop, order);
    await crashed;
    // It is started again at once, as anybody's supervisor does; the next one is killed while this customer waits.
    await shop.recover();
    waiting.push(bought);
    await Promise.race([bought, pause(SETTLES_WITHIN_MS)]);
  };
  say(`${shop.name}: ${orders.length} orders`);
  await inParallel(
    orders.filter(({ scenario }) => !isCrash(scenario)),
    AT_ONCE,
    buyOne,
  );
  say(`${shop.name}: now those in which it is killed`);
  await inParallel(
    orders.filter(({ scenario }) => isCrash(scenario)),
    1,
    buyOne,
  );
  await Promise.all(waiting);
  say(`${shop.name}: waiting until it does nothing more by itself`);
  await shop.comeToRest();
  return { title: shop.name, lines: judge(orders, provider.taken(), await shop.recorded()) };
}

async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    // One iterator for all of them: each takes the next one.
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function emptyDatabase(postgres: SharedPostgres, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  return url.href;
}
