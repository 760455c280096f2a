import type { DataSource } from "typeorm";
import { runPrepared } from "../postgres/strict-client.js";
import type { TraceParent } from "../tracing.js";
import type { Verdict } from "./retry-schedule.js";
import { MAX_LIVE_SECRETS, SecretKeys } from "./secrets.js";
import type { LoggedAnswer } from "./send-request.js";

/** One event's way to one endpoint: names the row, and the job. */
export type DeliveryKey = { readonly eventId: string; readonly endpointId: string };

/**
 * An attempt that has not ended after this many seconds never will: its process is gone. Far longer than a request
 * may last, so that nothing is sent while the one before is still on its way.
 */
export const TAKEN_OVER_AFTER_S = 60;

/** Of `webhook_endpoints e`: it takes deliveries at this moment. */
const TAKES_NOW = `e.status = 'active' AND e.deleted_at IS NULL AND (e.not_before IS NULL OR e.not_before <= now())`;

/**
 * Of `webhook_deliveries d`: nothing before it in its session is still open. With a LIMIT it stays one look into an index per
 * row; as a join it would read the whole backlog.
 */
const ITS_TURN = `(
        SELECT 1 FROM webhook_deliveries earlier
        WHERE earlier.endpoint_id = d.endpoint_id AND earlier.session_id = d.session_id
          AND earlier.position < d.position AND earlier.state IN ('pending', 'sending') LIMIT 1) IS NULL`;

/** A delivery that is ours to attempt, with all that is needed to send it. */
export type Claim = DeliveryKey & {
  /** Counts from 1 over the delivery's whole life, and is the fencing token: only its holder records an outcome. */
  readonly attempt: number;
  /** The same, counted since the delivery was last asked for: what the schedule goes by. */
  readonly scheduleAttempt: number;
  /** The endpoint's failed attempts in a row. */
  readonly failures: number;
  readonly url: string;
  /** Sent byte for byte. */
  readonly body: string;
  /** The newest first. */
  readonly secrets: readonly string[];
};

/**
 * An endpoint with a secret that this process can't open is left to one that can: a request without its signature would
 * be refused, and count as a failure.
 *
 * One statement decides, whatever the queue believes: the delivery is due, its endpoint takes it now, and nothing
 * before it in its session is still open. Two workers that claim at once: the second one finds the row locked or
 * `sending`, and gets nothing. Of one session's deliveries that are asked for together the first one is claimed.
 *
 * SKIP LOCKED: a row that somebody keeps locked would hold up every delivery that is claimed with it. The relay brings
 * it back.
 */
const CLAIM = {
  name: "claim_deliveries",
  text: `
  WITH asked AS (
    SELECT DISTINCT event_id, endpoint_id FROM unnest($1::uuid[], $2::uuid[]) AS a (event_id, endpoint_id)
    ORDER BY event_id, endpoint_id
  ), free AS MATERIALIZED (
    SELECT d.event_id, d.endpoint_id FROM webhook_deliveries d JOIN asked USING (event_id, endpoint_id)
    FOR NO KEY UPDATE OF d SKIP LOCKED
  ), claimed AS (
    UPDATE webhook_deliveries d SET state = 'sending', sending_since = now(), attempts = d.attempts + 1
    FROM free a JOIN webhook_endpoints e ON e.id = a.endpoint_id
    WHERE d.event_id = a.event_id AND d.endpoint_id = a.endpoint_id
      AND ${TAKES_NOW}
      AND (d.state = 'pending' AND d.next_attempt_at <= now()
        OR d.state = 'sending' AND d.sending_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S}))
      AND ${ITS_TURN}
      AND NOT EXISTS (SELECT FROM webhook_secrets s
                      WHERE s.endpoint_id = a.endpoint_id AND (s.expires_at IS NULL OR s.expires_at > now())
                        AND s.sealed_with IS NOT NULL AND s.sealed_with <> ALL ($3::text[]))
    RETURNING d.event_id, d.endpoint_id, d.attempts, d.attempts - d.attempts_before AS schedule_attempt,
              e.failures, e.url
  )
  SELECT claimed.*, o.body, (
    SELECT json_agg(json_build_object('id', id, 'secret', secret, 'sealed', encode(sealed, 'base64'),
                                      'sealedWith', sealed_with) ORDER BY created_at DESC, id DESC)
    FROM (SELECT * FROM webhook_secrets s
          WHERE s.endpoint_id = claimed.endpoint_id AND (s.expires_at IS NULL OR s.expires_at > now())
          ORDER BY created_at DESC, id DESC LIMIT ${MAX_LIVE_SECRETS}) AS live
  ) AS secrets
  FROM claimed JOIN outbox_events o ON o.id = claimed.event_id`,
};

type Row = {
  event_id: string;
  endpoint_id: string;
  attempts: number;
  schedule_attempt: number;
  failures: number;
  url: string;
  body: string;
  /** As JSON: what is sealed in base64. Null where there is none. */
  secrets: { id: string; secret: string | null; sealed: string | null; sealedWith: string | null }[] | null;
};

/**
 * Takes deliveries, for one attempt each. Committed before anything is sent: an attempt that nobody ever hears of again
 * has been counted.
 * @param keys the same one more than once where two jobs of a process ask for it: only the first of them gets it
 * @returns for each, null when there is nothing to send now: done, not due, held by another, waiting for its turn, or
 *   paused; an error where its secret can't be opened
 */
export async function claimDeliveries(
  dataSource: DataSource,
  keys: readonly DeliveryKey[],
  secretKeys: SecretKeys = new SecretKeys(),
): Promise<(Claim | Error | null)[]> {
  const rows = await runPrepared<Row>(dataSource.manager, CLAIM, [
    keys.map(({ eventId }) => eventId),
    keys.map(({ endpointId }) => endpointId),
    secretKeys.names(),
  ]);
  const claimed = new Map(rows.map((row) => [`${row.event_id} ${row.endpoint_id}`, row]));
  return keys.map(({ eventId, endpointId }) => {
    const row = claimed.get(`${eventId} ${endpointId}`);
    if (row === undefined) return null;
    // Without this line whoever asks second, in the same statement, would send it too.
    claimed.delete(`${eventId} ${endpointId}`);
    return claimOf(row, secretKeys);
  });
}

/** Somebody who has changed a secret's row makes the deliveries of that endpoint fail, and no others of the statement. */
function claimOf(row: Row, keys: SecretKeys): Claim | Error {
  const { event_id: eventId, endpoint_id: endpointId, attempts, schedule_attempt, failures, url, body } = row;
  try {
    const secrets = secretsOf(row, keys);
    const claim = { eventId, endpointId, failures, url, body, secrets };
    return { ...claim, attempt: attempts, scheduleAttempt: schedule_attempt };
  } catch (error) {
    return new Error(`a secret of endpoint ${endpointId} can't be opened`, { cause: error });
  }
}

function secretsOf({ secrets }: Row, keys: SecretKeys): string[] {
  return (secrets ?? []).map(({ id, secret, sealed, sealedWith }) =>
    sealed === null || sealedWith === null
      ? (secret ?? "")
      : keys.open({ secret: null, sealed: Buffer.from(sealed, "base64"), sealedWith }, id),
  );
}

/** Requests to one endpoint at once, at the most: a slow one holds this many of the workers' slots and no more. */
const AT_ONCE = 16;

/** After so many failures in a row an endpoint gets one request at a time, until one succeeds. */
const DOUBTFUL_AFTER = 5;

/** Deliveries found by one look, at the most. */
const MOST = 4_000;

/**
 * Per endpoint, the first deliveries that could be claimed now, less what is being sent already. What waits for its
 * turn in a session is not among them: it would keep other sessions' deliveries from being seen.
 *
 * Each merchant's first one stands before anybody's second one, whatever the number of endpoints: where there are more
 * than one look finds, no merchant is left out.
 */
const due = (endpoint: string) => `
  SELECT due.event_id AS "eventId", e.id AS "endpointId", e.merchant_id AS "merchantId", due.attempts_before AS round,
    due.attempts = 0 AS fresh,
    (SELECT trace_parent FROM outbox_events o WHERE o.id = due.event_id) AS trace
  FROM webhook_endpoints e
  CROSS JOIN LATERAL (
    SELECT count(*) AS count FROM webhook_deliveries d
    WHERE d.endpoint_id = e.id AND d.state = 'sending'
      AND d.sending_since > now() - make_interval(secs => ${TAKEN_OVER_AFTER_S})
  ) AS sending
  CROSS JOIN LATERAL (
    SELECT event_id, attempts, attempts_before, since, row_number() OVER (ORDER BY since, position) AS place FROM (
      (SELECT d.event_id, d.attempts, d.attempts_before, d.next_attempt_at AS since, d.position FROM webhook_deliveries d
       WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.next_attempt_at <= now()
         AND ${ITS_TURN}
       ORDER BY d.next_attempt_at, d.position LIMIT ${AT_ONCE})
      UNION ALL
      (SELECT d.event_id, d.attempts, d.attempts_before, d.sending_since, d.position FROM webhook_deliveries d
       WHERE d.endpoint_id = e.id AND d.state = 'sending'
         AND d.sending_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S})
       ORDER BY d.sending_since LIMIT ${AT_ONCE})
    ) AS candidates
  ) AS due
  WHERE ${TAKES_NOW}
    ${endpoint}
    AND due.place <= CASE WHEN e.failures >= ${DOUBTFUL_AFTER} THEN 1 ELSE ${AT_ONCE} END - sending.count
  ORDER BY row_number() OVER (PARTITION BY e.merchant_id ORDER BY due.place, due.since), due.since
  LIMIT ${MOST}`;

const DUE = { name: "find_due", text: due("") };

/** After each delivery. */
const DUE_OF_ONE = { name: "find_due_of_one", text: due("AND e.id = $1") };

/** A delivery that is due. */
export type Due = DeliveryKey & {
  /** Whose endpoint it is. */
  readonly merchantId: string;
  /** Another one each time the delivery is asked for again: a job of an earlier round must not stand for it. */
  readonly round: number;
  /** Never attempted so far. */
  readonly fresh: boolean;
  /** The trace that the event came about in, to go on in. */
  readonly trace: TraceParent | null;
};

/**
 * Finds what is to be sent now: a few deliveries of each endpoint, of each endpoint's sessions the next one.
 * @param endpointId that one's alone; every endpoint's by default
 */
export async function findDue(dataSource: DataSource, endpointId?: string): Promise<Due[]> {
  return endpointId === undefined
    ? runPrepared<Due>(dataSource.manager, DUE, [])
    : runPrepared<Due>(dataSource.manager, DUE_OF_ONE, [endpointId]);
}

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
    SELECT * FROM json_to_recordset($1::json) AS o (
      event_id uuid, endpoint_id uuid, attempt integer, started_at timestamptz, duration_ms integer,
      response_status integer, response_body text, error text, state text, delay float8, slow_down float8, disable text)
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
  const recorded = await runPrepared<{ event_id: string; endpoint_id: string; attempt: number }>(
    dataSource.manager,
    RECORD,
    [JSON.stringify(outcomes.map(toRow))],
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

/** By the names that `RECORD` reads. */
function toRow({ claim, answer, verdict }: Outcome): Readonly<Record<string, unknown>> {
  const failed = verdict.state === "delivered" ? null : verdict;
  return {
    event_id: claim.eventId,
    endpoint_id: claim.endpointId,
    attempt: claim.attempt,
    started_at: answer.startedAt,
    duration_ms: answer.durationMs,
    response_status: answer.status,
    response_body: answer.body,
    error: answer.error,
    state: verdict.state,
    delay: verdict.state === "pending" ? verdict.delayMs / 1_000 : 0,
    slow_down: failed?.slowDownMs == null ? null : failed.slowDownMs / 1_000,
    disable: failed?.disable ? `it answered ${answer.status} to event ${claim.eventId}` : null,
  };
}
