import type { EntityManager } from "typeorm";
import type { EventType } from "../entities/outbox-event.js";
import type { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { callRelay } from "../outbox/record-event.js";

export const DELIVERY_STATES = ["pending", "sending", "delivered", "dead"] as const;

export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** How far one event has come on its way to one endpoint. */
export type Delivery = {
  readonly eventId: string;
  readonly eventType: EventType;
  readonly endpointId: string;
  readonly position: bigint;
  readonly state: DeliveryState;
  readonly attempts: number;
  /** Null unless it is pending. */
  readonly nextAttemptAt: Date | null;
  readonly deliveredAt: Date | null;
};

/** One request that was made. */
export type Attempt = {
  readonly attempt: number;
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly responseStatus: number | null;
  /** The first KiB of the answer. */
  readonly responseBody: string | null;
  readonly error: string | null;
};

export type DeliveryFilter = {
  readonly merchantId: string;
  readonly endpointId?: string | undefined;
  readonly eventId?: string | undefined;
  readonly state?: DeliveryState | undefined;
  /** Only what comes after this one in the list, which begins with the newest. */
  readonly after?: Pick<Delivery, "position" | "endpointId"> | undefined;
  readonly limit: number;
};

const DELIVERIES = `
  SELECT d.event_id AS "eventId", o.type AS "eventType", d.endpoint_id AS "endpointId", d.position, d.state, d.attempts,
         CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS "nextAttemptAt", d.delivered_at AS "deliveredAt"
  FROM webhook_deliveries d
  JOIN webhook_endpoints e ON e.id = d.endpoint_id
  JOIN outbox_events o ON o.id = d.event_id
  WHERE e.merchant_id = $1
    AND ($2::uuid IS NULL OR d.endpoint_id = $2)
    AND ($3::uuid IS NULL OR d.event_id = $3)
    AND ($4::text IS NULL OR d.state = $4)
    AND ($5::bigint IS NULL OR (d.position, d.endpoint_id) < ($5, $6::uuid))
  ORDER BY d.position DESC, d.endpoint_id DESC
  LIMIT $7`;

const ATTEMPTS = `
  SELECT a.attempt, a.started_at AS "startedAt", a.duration_ms AS "durationMs", a.response_status AS "responseStatus",
         a.response_body AS "responseBody", a.error
  FROM webhook_attempts a JOIN webhook_endpoints e ON e.id = a.endpoint_id
  WHERE e.merchant_id = $1 AND a.endpoint_id = $2 AND a.event_id = $3
  ORDER BY a.attempt DESC
  LIMIT $4`;

/** Lists a merchant's deliveries, the newest event first: of one endpoint, of one event, or all. */
export async function listDeliveries(manager: EntityManager, filter: DeliveryFilter): Promise<Delivery[]> {
  const { merchantId, endpointId, eventId, state, after, limit } = filter;
  const position = after?.position.toString();
  const values = [merchantId, endpointId, eventId, state, position, after?.endpointId, limit];
  const rows: (Omit<Delivery, "position"> & { position: string })[] = await manager.query(
    DELIVERIES,
    values.map((value) => value ?? null),
  );
  return rows.map((row) => ({ ...row, position: BigInt(row.position) }));
}

/** Lists the requests that were made for one delivery, the last one first. */
export async function listAttempts(
  manager: EntityManager,
  merchantId: string,
  { endpointId, eventId }: Pick<Delivery, "endpointId" | "eventId">,
  limit = 100,
): Promise<Attempt[]> {
  return manager.query(ATTEMPTS, [merchantId, endpointId, eventId, limit]);
}

/** Events asked for again by one call, at the most: a statement must end in seconds. */
const MOST = 5_000;

/**
 * One row per event and endpoint, as ever: one that was delivered or is dead becomes pending again, its attempts
 * counted on and its schedule begun anew; one that waits goes at once; what the endpoint was never told of, since
 * it was disabled or not there yet, gets its first row, in the order of its session or its charge as number-events.ts
 * has it. One that is being sent right now is left alone.
 */
const redeliver = (which: string) => `
  WITH chosen AS (
    SELECT o.id AS event_id, e.id AS endpoint_id, coalesce(o.session_id, o.charge_id) AS session_id, o.position
    FROM webhook_endpoints e JOIN outbox_events o ON o.merchant_id = e.merchant_id
    WHERE e.id = $1 AND o.position IS NOT NULL AND ${which}
    ORDER BY o.position LIMIT ${MOST}
  ), again AS (
    INSERT INTO webhook_deliveries (event_id, endpoint_id, session_id, position)
    SELECT event_id, endpoint_id, session_id, position FROM chosen
    ON CONFLICT ON CONSTRAINT deliveries_one_per_endpoint DO UPDATE SET
      state = 'pending', delivered_at = NULL, next_attempt_at = now(), attempts_before = webhook_deliveries.attempts
      WHERE webhook_deliveries.state <> 'sending'
    RETURNING position
  )
  SELECT (SELECT count(*)::integer FROM again) AS count, count(*)::integer AS chosen, max(position) AS last
  FROM chosen`;

type Row = { count: number; chosen: number; last: string | null };

const ONE = redeliver(
  `o.id = $2 AND (o.type <> 'webhook.test' OR split_part(o.subject, '/', 1) = e.id::text)`,
);

const SINCE = redeliver(
  `o.created_at >= $2 AND o.position > $3 AND o.type <> 'webhook.test'
   AND (e.event_types IS NULL OR o.type = ANY (e.event_types))`,
);

/**
 * Sends one event to an endpoint again, also one that its filter leaves out.
 * @returns `unknown` when its merchant has no such event, or it has no place yet; `sending` when a request is under
 *   way right now, and nothing was changed
 */
export async function redeliverEvent(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  eventId: string,
): Promise<"redelivered" | "unknown" | "sending"> {
  const [{ count, chosen }]: [Row] = await manager.query(ONE, [endpoint.id, eventId]);
  if (count > 0) callRelay(manager);
  if (chosen === 0) return "unknown";
  return count === 0 ? "sending" : "redelivered";
}

export type Redelivered = {
  readonly count: number;
  /** Where to go on: there may be more. Null when that was all. */
  readonly next: bigint | null;
};

/**
 * Sends an endpoint everything again that happened since a time and that its filter lets through, in order.
 * @param after the `next` of the call before; 0 for the first
 */
export async function redeliverSince(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  since: Date,
  after = 0n,
): Promise<Redelivered> {
  const [row]: [Row] = await manager.query(SINCE, [endpoint.id, since, after.toString()]);
  if (row.count > 0) callRelay(manager);
  return { count: row.count, next: row.chosen === MOST && row.last !== null ? BigInt(row.last) : null };
}
