import { type EntityManager, IsNull } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { EventType } from "../entities/outbox-event.js";
import { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { addSecret } from "./secrets.js";

/** What a merchant chooses. */
export type EndpointSettings = {
  /** Checked by `endpointUrlProblem`. */
  readonly url: string;
  readonly description: string;
  /** Null: every type. */
  readonly eventTypes: readonly EventType[] | null;
};

/**
 * Creates an active endpoint with a secret of its own: it is told of every event that is numbered from now on.
 * @returns the endpoint, and the `whsec_` secret that its receiver verifies by
 */
export async function createEndpoint(
  manager: EntityManager,
  merchantId: string,
  settings: EndpointSettings,
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  const id = uuidv7();
  await manager.insert(WebhookEndpoint, { id, merchantId, ...columnsOf(settings) });
  const secret = await addSecret(manager, id);
  return { endpoint: await manager.findOneByOrFail(WebhookEndpoint, { id }), secret };
}

/** @returns null when the merchant has no such endpoint, or has deleted it */
export async function findEndpoint(
  manager: EntityManager,
  merchantId: string,
  id: string,
): Promise<WebhookEndpoint | null> {
  return manager.findOneBy(WebhookEndpoint, { id, merchantId, deletedAt: IsNull() });
}

/** All of a merchant's endpoints, the oldest first. */
export async function listEndpoints(manager: EntityManager, merchantId: string): Promise<WebhookEndpoint[]> {
  return manager.find(WebhookEndpoint, { where: { merchantId, deletedAt: IsNull() }, order: { id: "ASC" } });
}

/** Changes what is given. What waits for the endpoint is sent to the new URL. */
export async function updateEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  changes: Partial<EndpointSettings>,
): Promise<WebhookEndpoint> {
  const changed = columnsOf(changes);
  if (Object.keys(changed).length > 0) await manager.update(WebhookEndpoint, endpoint.id, changed);
  return reload(manager, endpoint);
}

/** Nothing is sent to it any more; what happens meanwhile waits. */
export async function pauseEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
): Promise<WebhookEndpoint> {
  await manager.update(WebhookEndpoint, endpoint.id, { status: "paused", disabledBecause: null });
  return reload(manager, endpoint);
}

/**
 * Sends what waits for a paused or disabled endpoint, with no patience left over from before. What happened while
 * it was disabled did not wait: ask for it by `redeliverSince`.
 */
export async function resumeEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
): Promise<WebhookEndpoint> {
  const fresh = { disabledBecause: null, notBefore: null, failures: 0 };
  await manager.update(WebhookEndpoint, endpoint.id, { status: "active", ...fresh });
  return reload(manager, endpoint);
}

/** What waits will never be sent: it must not look as if it were about to be. */
const GIVE_UP = `UPDATE webhook_deliveries SET state = 'dead' WHERE endpoint_id = $1 AND state = 'pending'`;

/** Nothing is sent to it any more, and it is listed no longer. What was sent stays on record. */
export async function deleteEndpoint(manager: EntityManager, endpoint: WebhookEndpoint): Promise<void> {
  await manager.update(WebhookEndpoint, endpoint.id, { deletedAt: () => "now()" });
  await manager.query(GIVE_UP, [endpoint.id]);
}

function reload(manager: EntityManager, { id }: WebhookEndpoint): Promise<WebhookEndpoint> {
  return manager.findOneByOrFail(WebhookEndpoint, { id });
}

function columnsOf({ eventTypes, ...rest }: Partial<EndpointSettings>) {
  return { ...rest, ...(eventTypes !== undefined && { eventTypes: eventTypes && [...eventTypes] }) };
}
