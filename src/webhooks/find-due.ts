import type { DataSource } from "typeorm";
import { runPrepared } from "../postgres/strict-client.js";
import type { TraceParent } from "../tracing.js";
import { type DeliveryKey, TAKEN_OVER_AFTER_S } from "./claim-delivery.js";

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
         -- With a LIMIT it stays one look into an index per row; as a join it would read the whole backlog.
         AND (SELECT 1 FROM webhook_deliveries earlier
              WHERE earlier.endpoint_id = d.endpoint_id AND earlier.session_id = d.session_id
                AND earlier.position < d.position AND earlier.state IN ('pending', 'sending') LIMIT 1) IS NULL
       ORDER BY d.next_attempt_at, d.position LIMIT ${AT_ONCE})
      UNION ALL
      (SELECT d.event_id, d.attempts, d.attempts_before, d.sending_since, d.position FROM webhook_deliveries d
       WHERE d.endpoint_id = e.id AND d.state = 'sending'
         AND d.sending_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S})
       ORDER BY d.sending_since LIMIT ${AT_ONCE})
    ) AS candidates
  ) AS due
  WHERE e.status = 'active' AND e.deleted_at IS NULL AND (e.not_before IS NULL OR e.not_before <= now())
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
