import type { EntityManager } from "typeorm";
import type { EventType } from "../entities/outbox-event.js";

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
