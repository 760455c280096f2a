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

/**
 * Waits until all payments are settled and every merchant was told.
 * @returns how many were told of within the time
 * @throws Error when payments stay unsettled
 */
export async function untilTold(dataSource: DataSource, payments: number, withinMs: number): Promise<number> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const [{ paid, told }]: [{ paid: number; told: number }] = await dataSource.query(PROGRESS);
    if (told === payments) return told;
    if (performance.now() > deadline) {
      if (paid !== payments) throw new Error(`${paid} of ${payments} payments were settled in time`);
      return told;
    }
    await sleep(200);
  }
}
