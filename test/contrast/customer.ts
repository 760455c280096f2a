import { setTimeout as pause } from "node:timers/promises";
import { type Order, SCENARIOS, TIMES } from "./plan.js";
import type { Shop } from "./shop.js";

/** How often somebody who stays tries; a shop that was killed is back long before. */
const MOST_TRIES = 60;

const BETWEEN_TRIES_MS = 250;

/** Buys one thing: presses Pay, and where the scenario says so tries again until the shop says that it worked. */
export async function buy(shop: Shop, order: Order): Promise<void> {
  const { presses, stays, ...rest } = SCENARIOS[order.scenario];
  const patience = "impatient" in rest ? TIMES.impatience : TIMES.patience;
  const answers = await Promise.allSettled(
    Array.from({ length: presses }, () => shop.press(order, patience)),
  );
  if (!stays || answers.some(({ status }) => status === "fulfilled")) return;
  for (let tries = 1; tries < MOST_TRIES; tries++) {
    await pause(BETWEEN_TRIES_MS);
    try {
      await shop.press(order, TIMES.patience);
      return;
    } catch {
      // Not yet: the shop is being started again, or the provider did not answer it.
    }
  }
}
