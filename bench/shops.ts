import { setTimeout as sleep } from "node:timers/promises";
import type { DataSource } from "typeorm";
import { createEndpoint } from "../src/webhooks/endpoints.js";
import type { Road } from "./roads.js";
import { openSessions } from "./stock.js";

/**
 * Opens a session for each payment that will come down a road, and lets each merchant be told.
 * @param webhookUrl where all of them listen
 */
export async function openShops(
  dataSource: DataSource,
  { owners, memoKind: kind }: Pick<Road, "owners" | "memoKind">,
  payments: number,
  webhookUrl: string,
): Promise<void> {
  for (const [i, owner] of owners.entries()) {
    const settings = { url: webhookUrl, description: "", eventTypes: null };
    await createEndpoint(dataSource.manager, owner.merchantId, settings);
    // The n-th session belongs to the owner that the n-th payment goes to.
    await openSessions(dataSource, owner, { from: 1, to: payments + 1, kind, of: [i, owners.length] });
  }
}

const PROGRESS = `
  SELECT (SELECT count(*) FROM payments)::integer AS paid,
         (SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered')::integer AS told`;

/** No payment settled for this long: something is stuck, and waiting on would measure the waiting. */
const STUCK_AFTER_MS = 30_000;

/**
 * Waits until all payments are settled, however long that takes, and every merchant was told.
 * @param withinMs how long to wait for the telling
 * @returns how many were told of within the time
 * @throws Error when payments stay unsettled
 */
export async function untilTold(dataSource: DataSource, payments: number, withinMs: number): Promise<number> {
  const deadline = performance.now() + withinMs;
  let last = { paid: -1, at: performance.now() };
  for (;;) {
    const [{ paid, told }]: [{ paid: number; told: number }] = await dataSource.query(PROGRESS);
    const at = performance.now();
    if (told === payments || (paid === payments && at > deadline)) return told;
    if (paid !== last.paid) last = { paid, at };
    else if (paid < payments && at - last.at > STUCK_AFTER_MS) {
      throw new Error(`stuck: ${paid} of ${payments} payments are settled`);
    }
    await sleep(200);
  }
}
