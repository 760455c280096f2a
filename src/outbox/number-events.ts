import type { DataSource, EntityManager, QueryRunner } from "typeorm";
import { NIL } from "uuid";
import { databaseFault, isOutwaited, sqlState, violatedConstraint } from "../postgres/database-errors.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { runPrepared } from "../postgres/strict-client.js";

/** Events numbered in one transaction, at the most. */
const BATCH = 500;

/**
 * Deliveries written by one statement, at the most. As many as a statement writes well within its time-out: events times
 * endpoints had no bound, and one merchant with hundreds of endpoints stopped everybody's events for good.
 */
const MAX_DELIVERIES = 5_000;

/** Transactions of one call, at the most: a request of the API that numbers must end. */
const MAX_ROUNDS = 200;

/** Others that number at the same time and win, before this one gives up. They do the same work. */
const MAX_RACES = 8;

/**
 * Of `outbox_events o`: those that have no place yet, but for those that are quarantined for now and for what waits behind
 * them in the same session or charge. Two conditions and not one with OR: each can use an index.
 */
const WAITING = `
    o.position IS NULL
    AND NOT EXISTS (SELECT FROM outbox_quarantine q WHERE q.event_id = o.id AND q.retry_at > now())
    AND NOT EXISTS (SELECT FROM outbox_quarantine q
                    WHERE q.thread = coalesce(o.session_id, o.charge_id) AND q.retry_at > now())`;

/** The first events that wait, and whether the very first one has failed before. */
const LOOK = `
  WITH waiting AS (
    SELECT o.id, o.written FROM outbox_events o WHERE ${WAITING} ORDER BY o.written LIMIT ${BATCH}
  )
  SELECT (SELECT count(*)::integer FROM waiting) AS count, first.id,
         EXISTS (SELECT FROM outbox_quarantine q WHERE q.event_id = first.id) AS failed
  FROM (SELECT id FROM waiting ORDER BY written LIMIT 1) AS first`;

/**
 * Numbers without a gap from the highest that this transaction sees. Whoever numbers at the same time takes the
 * same first number, so `outbox_position_unique` lets only one of them commit: a number is never given while a
 * lower one is still uncommitted, and a reader by position misses nothing.
 *
 * As many events as have `MAX_DELIVERIES` deliveries together, and one at the least.
 */
const NUMBER = {
  name: "number_events",
  text: `
  WITH waiting AS (
    SELECT o.id, o.written, o.merchant_id FROM outbox_events o WHERE ${WAITING} ORDER BY o.written LIMIT $1
  ), endpoints AS (
    SELECT e.merchant_id, count(*) AS count FROM webhook_endpoints e
    WHERE e.deleted_at IS NULL AND e.merchant_id IN (SELECT merchant_id FROM waiting)
    GROUP BY e.merchant_id
  ), counted AS (
    SELECT w.id, row_number() OVER (ORDER BY w.written) AS place,
           sum(coalesce(e.count, 0)) OVER (ORDER BY w.written) AS deliveries
    FROM waiting w LEFT JOIN endpoints e USING (merchant_id)
  ), fresh AS (
    SELECT id, place + (SELECT coalesce(max(position), 0) FROM outbox_events) AS place
    FROM counted WHERE deliveries <= ${MAX_DELIVERIES} OR place = 1
  ), released AS (
    DELETE FROM outbox_quarantine q USING fresh WHERE q.event_id = fresh.id
  ), numbered AS (
    UPDATE outbox_events o SET position = fresh.place
    FROM fresh WHERE o.id = fresh.id
    RETURNING o.position
  )
  SELECT count(*)::integer AS count, min(position) AS first, max(position) AS last FROM numbered`,
};

/**
 * Each endpoint that wants an event gets a delivery of it. A test event is for its endpoint alone, whatever that
 * endpoint's filter says. What is told of one charge is delivered in order as what is told of one session is: in a
 * delivery the charge's id stands in the session's place.
 *
 * One row more than `NUMBER` lets several events have: only a single event can need a second statement, which goes on
 * behind the endpoint that this one ended with.
 */
const DELIVER = {
  name: "deliver_events",
  text: `
  WITH chosen AS (
    SELECT o.id AS event_id, e.id AS endpoint_id, coalesce(o.session_id, o.charge_id) AS session_id, o.position
    FROM outbox_events o JOIN webhook_endpoints e ON e.merchant_id = o.merchant_id
    WHERE o.position BETWEEN $1 AND $2 AND e.id > $3
      AND e.status IN ('active', 'paused') AND e.deleted_at IS NULL
      AND CASE WHEN o.type = 'webhook.test' THEN split_part(o.subject, '/', 1) = e.id::text
               ELSE e.event_types IS NULL OR o.type = ANY (e.event_types) END
    ORDER BY e.id LIMIT ${MAX_DELIVERIES + 1}
  ), told AS (
    INSERT INTO webhook_deliveries (event_id, endpoint_id, session_id, position)
    SELECT event_id, endpoint_id, session_id, position FROM chosen
    ON CONFLICT ON CONSTRAINT deliveries_one_per_endpoint DO NOTHING
  )
  SELECT count(*)::integer AS count, (array_agg(endpoint_id ORDER BY endpoint_id DESC))[1] AS last FROM chosen`,
};

export type NumberOptions = {
  /** Told of each event that could not be relayed by itself. It is tried again, later each time. */
  readonly onQuarantine?: (eventId: string, error: unknown) => void;
};

/**
 * Gives every committed event its place among all events, and each endpoint that wants it a delivery, in one
 * transaction for each batch. To be called before events are read by position. Safe to run at once in any number of
 * processes.
 *
 * A batch that the database refuses is halved until the one bad event stands alone. That one is quarantined, with what is
 * told of the same session or charge behind it, and all others go on.
 * @returns how many were numbered here: all of them, or the first 200 batches
 * @throws the database's error when it is unavailable or conflicts did not end; the work done until then is kept
 */
export async function numberEvents(
  dataSource: DataSource,
  { onQuarantine }: NumberOptions = {},
): Promise<number> {
  let numbered = 0;
  // While a bad event is searched: how many events it is among, and how many of them are tried at once.
  let [suspects, limit] = [0, BATCH];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    // Most calls find nothing: they need no transaction.
    const [first]: Look[] = await dataSource.query(LOOK);
    if (first === undefined) return numbered;
    // What has failed before is first in line again. With others it would make their whole batch fail again.
    const size = first.failed ? 1 : Math.min(limit, first.count);
    try {
      const count = await numberBatch(dataSource, size);
      numbered += count;
      suspects = Math.max(0, suspects - count);
      if (suspects === 0) limit = BATCH;
    } catch (error) {
      if (!canBeHalved(error, size)) throw error;
      if (size > 1) {
        [suspects, limit] = [size, size >> 1];
      } else {
        if (await quarantineEvent(dataSource.manager, first.id, error)) onQuarantine?.(first.id, error);
        // This was the one, where one was searched.
        if (!first.failed) [suspects, limit] = [0, BATCH];
      }
    }
  }
  return numbered;
}

type Look = { count: number; id: string; failed: boolean };

/**
 * Whether fewer events may go through, or one event alone is to blame. Not where the server is away, where another process
 * numbers, or where a single event only lost against other transactions: the next call tries the same again.
 */
function canBeHalved(error: unknown, size: number): boolean {
  if (violatedConstraint(error) === "outbox_position_unique") return false;
  if (isOutwaited(error)) return true;
  const fault = databaseFault(error);
  return sqlState(error) !== null && fault !== "unavailable" && !(fault === "conflict" && size === 1);
}

async function numberBatch(dataSource: DataSource, size: number): Promise<number> {
  for (let races = 0; ; races++) {
    try {
      return await inSerializableTransaction(dataSource, (runner) => number(runner, size));
    } catch (error) {
      // Somebody numbered between our look and our commit. What is left is numbered after theirs.
      if (violatedConstraint(error) !== "outbox_position_unique" || races >= MAX_RACES) throw error;
    }
  }
}

type Numbered = { count: number; first: string | null; last: string | null };

async function number({ manager }: QueryRunner, size: number): Promise<number> {
  const [row] = await runPrepared<Numbered>(manager, NUMBER, [size]);
  if (row === undefined || row.first === null) return 0;
  await deliverAll(manager, row);
  return row.count;
}

/** As many statements as a single event has thousands of endpoints: nearly always one. */
async function deliverAll(manager: EntityManager, { first, last }: Numbered): Promise<void> {
  let after: string = NIL;
  for (;;) {
    const [told] = await runPrepared<{ count: number; last: string }>(manager, DELIVER, [first, last, after]);
    if (told === undefined || told.count <= MAX_DELIVERIES) return;
    after = told.last;
  }
}

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
async function quarantineEvent(manager: EntityManager, eventId: string, error: unknown): Promise<boolean> {
  const reason = (error instanceof Error ? error.message : String(error)).replaceAll("\0", "\uFFFD");
  const rows: unknown[] = await manager.query(QUARANTINE, [eventId, reason.slice(0, MAX_REASON)]);
  return rows.length > 0;
}
