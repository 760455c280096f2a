/** Breaks one thing: the webhook is sent inside the transaction that makes it true. */
import { paymentConfirmed } from "../../../src/outbox/events.js";
import * as original from "../../../src/settlement/record-outcomes.js";
import { creditKeyText } from "../../../src/stellar/credit.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/settlement/record-outcomes.js";

replaceModule(import.meta.resolve("../../../src/settlement/record-outcomes.js"), import.meta.url);

const ENDPOINTS = `
  SELECT e.url FROM webhook_endpoints e JOIN checkout_sessions s USING (merchant_id) WHERE s.id = $1`;

export const recordOutcomes: typeof original.recordOutcomes = async (runner, batch, traceOf) => {
  const fresh = await original.recordOutcomes(runner, batch, traceOf);
  for (const { movement, outcome } of batch) {
    if (movement.kind !== "credit" || outcome.kind !== "payment" || !fresh.has(creditKeyText(movement)))
      continue;
    const { id, body } = paymentConfirmed(movement, outcome.sessionId, outcome.surplus);
    const endpoints: { url: string }[] = await runner.query(ENDPOINTS, [outcome.sessionId]);
    for (const { url } of endpoints) {
      await fetch(url, { method: "POST", headers: { "webhook-id": id }, body });
    }
  }
  return fresh;
};
