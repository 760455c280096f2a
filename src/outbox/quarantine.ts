import type { EntityManager } from "typeorm";

/**
 * Of `outbox_events o`: those that have no place yet, but for those that are quarantined for now and for what waits behind
 * them in the same session or charge. Two conditions and not one with OR: each can use an index.
 */
export const WAITING = `
    o.position IS NULL
    AND NOT EXISTS (SELECT FROM outbox_quarantine q WHERE q.event_id = o.id AND q.retry_at > now())
    AND NOT EXISTS (SELECT FROM outbox_quarantine q
                    WHERE q.thread = coalesce(o.session_id, o.charge_id) AND q.retry_at > now())`;

/** From the first failure to the next try: doubled with each failure, up to the second. */
const [FIRST_RETRY_S, LAST_RETRY_S] = [5, 300];

/** Not twice for one failure: several workers find the same bad event at the same time. */
const QUARANTINE = `
  INSERT INTO outbox_quarantine (event_id, thread, reason, retry_at)
  SELECT o.id, coalesce(o.session_id, o.charge_id), $2, now() + make_interval(secs => ${FIRST_RETRY_S})
  FROM outbox_events o WHERE o.id = $1 AND o.position IS NULL
  ON CONFLICT ON CONSTRAINT quarantine_once DO UPDATE SET
    reason = excluded.reason,
    failures = outbox_quarantine.failures + 1,
    retry_at = now() + make_interval(secs =>
      least(${LAST_RETRY_S}, ${FIRST_RETRY_S} * 2 ^ least(outbox_quarantine.failures, 16)))
    WHERE outbox_quarantine.retry_at <= now()
  RETURNING event_id`;

const MAX_REASON = 1_000;

/**
 * Sets an event aside that could not be relayed by itself: it and what is told of the same session or charge behind it
 * wait for a while, all others go on.
 * @returns false where somebody else has just done so, or the event was relayed meanwhile
 */
export async function quarantineEvent(
  manager: EntityManager,
  eventId: string,
  error: unknown,
): Promise<boolean> {
  const reason = (error instanceof Error ? error.message : String(error)).replaceAll("\0", "\uFFFD");
  const rows: unknown[] = await manager.query(QUARANTINE, [eventId, reason.slice(0, MAX_REASON)]);
  return rows.length > 0;
}
