import type { EntityManager } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { OutboxEvent } from "../entities/outbox-event.js";
import type { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { webhookTest } from "../settlement/events.js";
import { callRelay } from "../settlement/tell.js";
import { currentTrace } from "../tracing.js";

/**
 * Writes a `webhook.test` event for one endpoint. It goes the way of every event: numbered, signed, retried. A
 * disabled endpoint is not told of it, as of nothing else.
 * @returns the event's id
 */
export async function sendTestEvent(manager: EntityManager, endpoint: WebhookEndpoint): Promise<string> {
  const event = webhookTest(endpoint.id, uuidv4());
  await manager.insert(OutboxEvent, {
    ...event,
    merchantId: endpoint.merchantId,
    sessionId: null,
    traceParent: currentTrace(),
  });
  callRelay(manager);
  return event.id;
}
