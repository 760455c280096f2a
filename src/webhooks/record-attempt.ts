import type { DataSource } from "typeorm";
import { runPrepared } from "../postgres/strict-client.js";
import type { Claim } from "./claim-delivery.js";
import type { Verdict } from "./retry-schedule.js";
import type { LoggedAnswer } from "./send-request.js";

/** What came of an attempt. */
export type Outcome = { readonly claim: Claim; readonly answer: LoggedAnswer; readonly verdict: Verdict };

/**
 * An attempt is logged whoever holds the delivery now: the request was made. Its outcome counts only while the
 * delivery is in this very attempt: a worker that was paused can't undo what its successor did.
 *
 * Endpoints are locked in the order of their ids: two workers that judge the same ones wait for each other.
 */
const RECORD = {
  name: "record_attempts",
  text: `
  WITH outcome AS (
    SELECT * FROM unnest(
      $1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::integer[], $6::integer[], $7::text[], $8::text[],
      $9::text[], $10::float8[], $11::float8[], $12::text[]
    ) AS o (event_id, endpoint_id, attempt, started_at, duration_ms, response_status, response_body, error,
            state, delay, slow_down, disable)
  ), logged AS (
    INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms, response_status, response_body, error)
    SELECT event_id, endpoint_id, attempt, started_at, duration_ms, response_status, response_body, error FROM outcome
    ON CONFLICT ON CONSTRAINT attempts_logged_once DO NOTHING
  ), recorded AS (
    UPDATE webhook_deliveries d SET
      state = o.state,
      sending_since = NULL,
      delivered_at = CASE WHEN o.state = 'delivered' THEN now() END,
      next_attempt_at = now() + make_interval(secs => o.delay)
    FROM outcome o
    WHERE d.event_id = o.event_id AND d.endpoint_id = o.endpoint_id AND d.state = 'sending' AND d.attempts = o.attempt
    RETURNING o.*
  ), judgement AS (
    SELECT endpoint_id, bool_or(state = 'delivered') AS delivered, count(*) AS count,
           max(slow_down) AS slow_down, min(disable) AS disable
    FROM recorded GROUP BY endpoint_id
  ), held AS MATERIALIZED (
    SELECT e.id FROM webhook_endpoints e JOIN judgement j ON j.endpoint_id = e.id
    -- Without this line each success of a busy endpoint would write its row again, for nothing.
    WHERE NOT (j.delivered AND e.failures = 0 AND j.slow_down IS NULL AND j.disable IS NULL)
    ORDER BY e.id FOR NO KEY UPDATE OF e
  ), judged AS (
    UPDATE webhook_endpoints e SET
      failures = CASE WHEN j.delivered THEN 0 ELSE e.failures + j.count END,
      not_before = greatest(e.not_before, now() + make_interval(secs => j.slow_down)),
      status = CASE WHEN j.disable IS NULL THEN e.status ELSE 'disabled' END,
      disabled_because = coalesce(e.disabled_because, j.disable),
      -- Whoever knows nothing of this column can have resumed the endpoint: now its receiver has disabled it.
      disabled_by_operator = e.disabled_by_operator AND e.status = 'disabled'
    FROM judgement j JOIN held ON held.id = j.endpoint_id
    WHERE e.id = j.endpoint_id
  )
  SELECT event_id, endpoint_id, attempt FROM recorded`,
};

/**
 * Writes what came of attempts.
 * @param outcomes none of the same attempt
 * @returns for each, false when the delivery is no longer ours: then only the log says it
 */
export async function recordAttempts(
  dataSource: DataSource,
  outcomes: readonly Outcome[],
): Promise<boolean[]> {
  const rows = outcomes.map(toRow);
  const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]));
  const recorded = await runPrepared<{ event_id: string; endpoint_id: string; attempt: number }>(
    dataSource.manager,
    RECORD,
    columns,
  );
  return outcomes.map(({ claim }) =>
    recorded.some(
      (row) =>
        row.event_id === claim.eventId &&
        row.endpoint_id === claim.endpointId &&
        row.attempt === claim.attempt,
    ),
  );
}

function toRow({ claim, answer, verdict }: Outcome): readonly (string | number | Date | null)[] {
  const failed = verdict.state === "delivered" ? null : verdict;
  return [
    claim.eventId,
    claim.endpointId,
    claim.attempt,
    answer.startedAt,
    answer.durationMs,
    answer.status,
    answer.body,
    answer.error,
    verdict.state,
    verdict.state === "pending" ? verdict.delayMs / 1_000 : 0,
    failed?.slowDownMs == null ? null : failed.slowDownMs / 1_000,
    failed?.disable ? `it answered ${answer.status} to event ${claim.eventId}` : null,
  ];
}
