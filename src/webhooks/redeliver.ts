import type { EntityManager } from "typeorm";
import type { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { callRelay } from "../outbox/tell.js";

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
