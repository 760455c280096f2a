/**
 * src/webhooks: how merchants are told (G5). The rows of webhook_deliveries are the truth about what was sent and
 * what is due; queues only say when to look. Called by jobs and by the API; knows neither.
 */
import type { DataSource, QueryRunner } from "typeorm";
import { violatedConstraint } from "../entities/database-errors.js";
import { runPrepared } from "../entities/prepared.js";
import { inSerializableTransaction } from "../entities/serializable.js";

/** Events numbered in one transaction, at the most. */
const BATCH = 500;

/** Others that number at the same time and win, before this one gives up. They do the same work. */
const MAX_RACES = 8;

const ANY_UNNUMBERED = `SELECT EXISTS (SELECT FROM outbox_events WHERE position IS NULL) AS found`;

/**
 * Numbers without a gap from the highest that this transaction sees. Whoever numbers at the same time takes the
 * same first number, so `outbox_position_unique` lets only one of them commit: a number is never given while a
 * lower one is still uncommitted, and a reader by position misses nothing.
 *
 * A test event is for its endpoint alone, whatever that endpoint's filter says. What is told of one charge is delivered
 * in order as what is told of one session is: in a delivery the charge's id stands in the session's place.
 */
const NUMBER = {
  name: "number_events",
  text: `
  WITH fresh AS (
    SELECT id, row_number() OVER (ORDER BY written) + (SELECT coalesce(max(position), 0) FROM outbox_events) AS place
    FROM (SELECT id, written FROM outbox_events WHERE position IS NULL ORDER BY written LIMIT ${BATCH}) AS unnumbered
  ), numbered AS (
    UPDATE outbox_events o SET position = fresh.place, relayed_at = now()
    FROM fresh WHERE o.id = fresh.id
    RETURNING o.id, o.type, o.merchant_id, o.subject, coalesce(o.session_id, o.charge_id) AS session_id, o.position
  ), told AS (
    INSERT INTO webhook_deliveries (event_id, endpoint_id, session_id, position)
    SELECT n.id, e.id, n.session_id, n.position
    FROM numbered n JOIN webhook_endpoints e ON e.merchant_id = n.merchant_id
    WHERE e.status IN ('active', 'paused') AND e.deleted_at IS NULL
      AND CASE WHEN n.type = 'webhook.test' THEN split_part(n.subject, '/', 1) = e.id::text
               ELSE e.event_types IS NULL OR n.type = ANY (e.event_types) END
    ON CONFLICT ON CONSTRAINT deliveries_one_per_endpoint DO NOTHING
  )
  SELECT count(*)::integer AS count FROM numbered`,
};

/**
 * Gives every committed event its place among all events, and each endpoint that wants it a delivery, in one
 * transaction. To be called before events are read by position. Safe to run at once in any number of processes.
 * @returns how many were numbered here
 * @throws the database's error; the work done until then is kept
 */
export async function numberEvents(dataSource: DataSource): Promise<number> {
  let numbered = 0;
  for (;;) {
    // Most calls find nothing: they need no transaction.
    const [{ found }]: [{ found: boolean }] = await dataSource.query(ANY_UNNUMBERED);
    if (!found) return numbered;
    numbered += await numberBatch(dataSource);
  }
}

async function numberBatch(dataSource: DataSource): Promise<number> {
  for (let races = 0; ; races++) {
    try {
      return await inSerializableTransaction(dataSource, number);
    } catch (error) {
      // Somebody numbered between our look and our commit. What is left is numbered after theirs.
      if (violatedConstraint(error) !== "outbox_position_unique" || races >= MAX_RACES) throw error;
    }
  }
}

async function number(runner: QueryRunner): Promise<number> {
  const [row] = await runPrepared<{ count: number }>(runner.manager, NUMBER, []);
  return row?.count ?? 0;
}
