import type { DataSource } from "typeorm";
import type { Claim } from "./claim-delivery.js";
import type { Verdict } from "./retry-schedule.js";
import type { LoggedAnswer } from "./send-request.js";

/**
 * The attempt is logged whoever holds the delivery now: the request was made. The outcome counts only while the
 * delivery is in this very attempt: a worker that was paused can't undo what its successor did.
 */
const RECORD = `
  WITH logged AS (
    INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms, response_status, response_body, error)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT ON CONSTRAINT attempts_logged_once DO NOTHING
  ), recorded AS (
    UPDATE webhook_deliveries SET
      state = $9,
      sending_since = NULL,
      delivered_at = CASE WHEN $9 = 'delivered' THEN now() END,
      next_attempt_at = now() + make_interval(secs => $10)
    WHERE event_id = $1 AND endpoint_id = $2 AND state = 'sending' AND attempts = $3
    RETURNING endpoint_id
  ), judged AS (
    UPDATE webhook_endpoints e SET
      failures = CASE WHEN $9 = 'delivered' THEN 0 ELSE e.failures + 1 END,
      not_before = greatest(e.not_before, now() + make_interval(secs => $11)),
      status = CASE WHEN $12::text IS NULL THEN e.status ELSE 'disabled' END,
      disabled_because = coalesce(e.disabled_because, $12)
    FROM recorded
    WHERE e.id = recorded.endpoint_id
      -- Without this line each success of a busy endpoint would write its row again, for nothing.
      AND NOT ($9 = 'delivered' AND e.failures = 0)
  )
  SELECT count(*)::integer AS count FROM recorded`;

/** Writes what came of an attempt. @returns false when the delivery is no longer ours: then only the log says it */
export async function recordAttempt(
  dataSource: DataSource,
  { eventId, endpointId, attempt }: Claim,
  { startedAt, durationMs, status, body, error }: LoggedAnswer,
  verdict: Verdict,
): Promise<boolean> {
  const failed = verdict.state === "delivered" ? null : verdict;
  const [{ count }]: [{ count: number }] = await dataSource.query(RECORD, [
    eventId,
    endpointId,
    attempt,
    startedAt,
    durationMs,
    status,
    body,
    error,
    verdict.state,
    verdict.state === "pending" ? verdict.delayMs / 1_000 : 0,
    failed?.slowDownMs == null ? null : failed.slowDownMs / 1_000,
    failed?.disable ? `it answered ${status} to event ${eventId}` : null,
  ]);
  return count === 1;
}
