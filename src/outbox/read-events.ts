import type { EntityManager } from "typeorm";
import type { EventType } from "../entities/outbox-event.js";

/** How long events can be listed. Published in the API's description. */
export const LISTED_DAYS = 30;

export type NumberedEvent = {
  readonly id: string;
  readonly type: EventType;
  readonly sessionId: string | null;
  readonly chargeId: string | null;
  /** Its place among all events; null in the moment between its commit and the next numbering. */
  readonly position: string | null;
  /** As webhooks carry it, byte for byte. */
  readonly body: string;
  readonly createdAt: Date;
  /** Whether a webhook has brought it, and none that is on its way to an active endpoint is missing. */
  readonly delivered: boolean;
};

export type EventFilter = {
  readonly merchantId: string;
  readonly type?: EventType | undefined;
  readonly sessionId?: string | undefined;
  readonly delivered?: boolean | undefined;
};

/** What an endpoint was disabled for, paused or deleted before it heard of the event, it does not wait for. */
const EVENT = `
  SELECT o.id, o.type, o.session_id AS "sessionId", o.charge_id AS "chargeId", o.position, o.body,
         o.created_at AS "createdAt", told.delivered
  FROM outbox_events o
  CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(d.state = 'delivered'), false)
           AND NOT coalesce(bool_or(d.state <> 'delivered' AND e.status = 'active' AND e.deleted_at IS NULL), false)
           AS delivered
    FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
    WHERE d.event_id = o.id
  ) told
  WHERE o.merchant_id = $1`;

const LIST = `${EVENT}
    AND o.position > $2
    AND o.created_at > now() - interval '${LISTED_DAYS} days'
    AND ($3::text IS NULL OR o.type = $3)
    AND ($4::uuid IS NULL OR o.session_id = $4)
    AND ($5::boolean IS NULL OR told.delivered = $5)
  ORDER BY o.position
  LIMIT $6`;

const ONE = `${EVENT} AND o.id = $2`;

/**
 * A merchant's events in their order. Call `numberEvents` before: what has no position yet is not seen.
 * @param after the position to go on behind
 */
export function listEvents(
  manager: EntityManager,
  { merchantId, type, sessionId, delivered }: EventFilter,
  after: string,
  limit: number,
): Promise<NumberedEvent[]> {
  return manager.query(LIST, [merchantId, after, type ?? null, sessionId ?? null, delivered ?? null, limit]);
}

export async function readEvent(
  manager: EntityManager,
  merchantId: string,
  id: string,
): Promise<NumberedEvent | null> {
  const [event]: NumberedEvent[] = await manager.query(ONE, [merchantId, id]);
  return event ?? null;
}
