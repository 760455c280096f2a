import { type DataSource, type EntityManager, IsNull, MoreThan } from "typeorm";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { type EventType, OutboxEvent } from "../entities/outbox-event.js";
import { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { webhookTest } from "../outbox/events.js";
import { callRelay } from "../outbox/record-event.js";
import { currentTrace } from "../tracing.js";
import type { SecretKeys } from "./secrets.js";
import { addSecret } from "./secrets.js";

/** What a merchant chooses. */
export type EndpointSettings = {
  /** Checked by `endpointUrlProblem`. */
  readonly url: string;
  readonly description: string;
  /** Null: every type. */
  readonly eventTypes: readonly EventType[] | null;
};

/** What this installation allows. */
export type EndpointRules = {
  /** Endpoints of one merchant, at the most; without it there is no bound. */
  readonly maxEndpoints?: number;
  /** What secrets are encrypted with; without it they are stored as they are. */
  readonly secretKeys?: SecretKeys;
};

/** The merchant has as many endpoints as it may have. */
export class EndpointLimitError extends Error {
  override readonly name = "EndpointLimitError";

  constructor(readonly limit: number) {
    super(`a merchant has at most ${limit} webhook endpoints`);
  }
}

/** The operator has disabled the endpoint: its merchant can delete it, and nothing else. */
export class DisabledByOperatorError extends Error {
  override readonly name = "DisabledByOperatorError";

  constructor(readonly reason: string) {
    super(`the operator has disabled this endpoint: ${reason}`);
  }
}

/**
 * Creates an active endpoint with a secret of its own: it is told of every event that is numbered from now on. To be
 * called in a serializable transaction: of two that create the last one at once, one is run again.
 * @returns the endpoint, and the `whsec_` secret that its receiver verifies by
 * @throws EndpointLimitError
 */
export async function createEndpoint(
  manager: EntityManager,
  merchantId: string,
  settings: EndpointSettings,
  { maxEndpoints = Number.POSITIVE_INFINITY, secretKeys }: EndpointRules = {},
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  const existing = await manager.countBy(WebhookEndpoint, { merchantId, deletedAt: IsNull() });
  if (existing >= maxEndpoints) throw new EndpointLimitError(maxEndpoints);
  const id = uuidv7();
  await manager.insert(WebhookEndpoint, { id, merchantId, ...columnsOf(settings) });
  const secret = await addSecret(manager, id, secretKeys);
  return { endpoint: await manager.findOneByOrFail(WebhookEndpoint, { id }), secret };
}

/**
 * @param merchantId null for the operator, who may see everybody's
 * @returns null when the merchant has no such endpoint, or has deleted it
 */
export async function findEndpoint(
  manager: EntityManager,
  merchantId: string | null,
  id: string,
): Promise<WebhookEndpoint | null> {
  return manager.findOneBy(WebhookEndpoint, { id, ...(merchantId && { merchantId }), deletedAt: IsNull() });
}

/** As many as any configuration allows: a merchant who had more before there was a bound sees the oldest of them. */
const MAX_LISTED = 1_000;

/** All of a merchant's endpoints, the oldest first. */
export async function listEndpoints(manager: EntityManager, merchantId: string): Promise<WebhookEndpoint[]> {
  const where = { merchantId, deletedAt: IsNull() };
  return manager.find(WebhookEndpoint, { where, order: { id: "ASC" }, take: MAX_LISTED });
}

/** Endpoints of all merchants, the oldest first: `limit` of them behind the one with the id `after`. */
export async function listAllEndpoints(
  manager: EntityManager,
  after: string | null,
  limit: number,
): Promise<WebhookEndpoint[]> {
  const where = { deletedAt: IsNull(), ...(after !== null && { id: MoreThan(after) }) };
  return manager.find(WebhookEndpoint, { where, order: { id: "ASC" }, take: limit });
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

/**
 * Nothing is sent to it any more; what happens meanwhile waits.
 * @throws DisabledByOperatorError
 */
export async function pauseEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
): Promise<WebhookEndpoint> {
  refuseIfDisabledByOperator(endpoint);
  await manager.update(WebhookEndpoint, endpoint.id, { status: "paused", disabledBecause: null });
  return reload(manager, endpoint);
}

/**
 * The operator's way to stop an endpoint of any merchant: nothing is sent to it any more, and what happens meanwhile does
 * not wait for it. Its merchant can't resume it.
 * @param reason for the merchant, 1 to 500 characters
 */
export async function disableEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  reason: string,
): Promise<WebhookEndpoint> {
  const disabled = { disabledBecause: reason, disabledByOperator: true };
  await manager.update(WebhookEndpoint, endpoint.id, { status: "disabled", ...disabled });
  return reload(manager, endpoint);
}

/**
 * Sends what waits for a paused or disabled endpoint, with no patience left over from before. What happened while
 * it was disabled did not wait: ask for it by `redeliverSince`.
 * @param by who asks: what the operator has disabled, the operator alone resumes
 * @throws DisabledByOperatorError
 */
export async function resumeEndpoint(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  by: "merchant" | "operator" = "merchant",
): Promise<WebhookEndpoint> {
  if (by === "merchant") refuseIfDisabledByOperator(endpoint);
  const fresh = { disabledBecause: null, disabledByOperator: false, notBefore: null, failures: 0 };
  await manager.update(WebhookEndpoint, endpoint.id, { status: "active", ...fresh });
  callRelay(manager);
  return reload(manager, endpoint);
}

/** Deliveries given up by one statement, at the most. */
const GIVEN_UP_AT_ONCE = 5_000;

/**
 * What waits will never be sent: it must not look as if it were about to be. By the rows' places: joined by their key, a
 * plan made without statistics reads all deliveries of the endpoint for each of them. What somebody has locked is left for
 * later: one such row would keep all the others waiting.
 */
const GIVE_UP = `
  UPDATE webhook_deliveries SET state = 'dead'
  WHERE state = 'pending' AND ctid = ANY (ARRAY(
    SELECT d.ctid
    FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id AND d.state = 'pending'
    WHERE e.deleted_at IS NOT NULL AND ($1::uuid IS NULL OR e.id = $1)
    LIMIT ${GIVEN_UP_AT_ONCE} FOR NO KEY UPDATE OF d SKIP LOCKED))`;

/**
 * Nothing is sent to it any more, and it is listed no longer. What was sent stays on record. Of what waits the first
 * thousands are given up here, and the rest by `giveUpDeliveries`.
 */
export async function deleteEndpoint(manager: EntityManager, endpoint: WebhookEndpoint): Promise<void> {
  await manager.update(WebhookEndpoint, endpoint.id, { deletedAt: () => "now()" });
  await manager.query(GIVE_UP, [endpoint.id]);
}

/** Statements of one call, at the most. */
const MAX_ROUNDS = 100;

/**
 * Gives up what still waits for endpoints that were deleted.
 * @returns how many deliveries
 */
export async function giveUpDeliveries(dataSource: DataSource): Promise<number> {
  let count = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [, changed]: [unknown, number] = await dataSource.query(GIVE_UP, [null]);
    count += changed;
    if (changed < GIVEN_UP_AT_ONCE) break;
  }
  return count;
}

function refuseIfDisabledByOperator({ status, disabledByOperator, disabledBecause }: WebhookEndpoint): void {
  if (status === "disabled" && disabledByOperator) throw new DisabledByOperatorError(disabledBecause ?? "");
}

function reload(manager: EntityManager, { id }: WebhookEndpoint): Promise<WebhookEndpoint> {
  return manager.findOneByOrFail(WebhookEndpoint, { id });
}

function columnsOf({ eventTypes, ...rest }: Partial<EndpointSettings>) {
  return { ...rest, ...(eventTypes !== undefined && { eventTypes: eventTypes && [...eventTypes] }) };
}

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
