import type { DataSource, QueryRunner } from "typeorm";
import { allByHalves } from "../entities/by-halves.js";
import type { CheckoutSession, SessionId } from "../entities/checkout-session.js";
import { sessionExpired } from "../outbox/events.js";
import { ofSession } from "../outbox/record-event.js";
import { inSerializableTransaction } from "../postgres/serializable.js";

/** Sessions expired in one transaction, at the most: locks stay short, and a backlog is worked off in steps. */
const BATCH = 500;

/**
 * A session has expired once every credit that could still pay it in time is committed: the account's
 * `settled_through`, which comes from ledger close times, has passed its last moment. No clock of ours is
 * asked, so that a wrong one can't expire a session whose payment is on its way (G4).
 */
const OVERDUE = `
  FROM watched_cursors c
  JOIN unsettled_sessions u ON u.account = c.account AND u.status = 'pending' AND u.last_moment < c.settled_through
  JOIN checkout_sessions s ON s.id = u.session_id AND s.status = 'pending'`;

/** From one id to the next: what can't be expired does not stand in front of the others. */
const DUE = `SELECT s.id ${OVERDUE} WHERE s.id > $1 ORDER BY s.id LIMIT ${BATCH}`;

/** SKIP LOCKED: a session that a consumer is settling right now is left for the next run. */
const LOCK_DUE = `
  SELECT s.id, s.expires_at ${OVERDUE} WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED`;

const EXPIRE = `
  WITH due AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS d (session_id, event_id, body)),
  expired AS (
    UPDATE checkout_sessions s SET status = 'expired' FROM due WHERE s.id = due.session_id RETURNING s.id
  )
  INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body)
  SELECT event_id, 'session.expired', s.merchant_id, session_id::text, session_id, ${ofSession("due.body", "s")}
  FROM due JOIN checkout_sessions s ON s.id = due.session_id
  ON CONFLICT ON CONSTRAINT outbox_one_of_a_type_per_subject DO NOTHING`;

/**
 * Expires every session whose time is over on the network's own clock, with one event each. Safe to run
 * twice, at once, and against consumers. One that can't be expired keeps no other from it.
 * @returns how many were expired
 * @throws Error that tells how many could not be, once all were tried; the database's error when it can't serve
 */
export async function expireSessions(dataSource: DataSource): Promise<number> {
  return allByHalves<SessionId>(
    (after) => dataSource.query(DUE, [after]),
    BATCH,
    (ids) => expireBatch(dataSource, ids),
    "sessions could not be expired",
  );
}

/** @returns how many of them were expired: the rest is over already, or in somebody's hands */
async function expireBatch(dataSource: DataSource, ids: readonly SessionId[]): Promise<number> {
  return inSerializableTransaction(dataSource, async (runner) => {
    const due: { id: SessionId; expires_at: Date }[] = await runner.query(LOCK_DUE, [ids]);
    await expireOverdue(
      runner,
      due.map(({ id, expires_at: expiresAt }) => ({ id, expiresAt })),
    );
    return due.length;
  });
}

/**
 * Expires pending sessions that the caller has locked and knows to be over, with one event each. Settlement does so before
 * it tells of a credit that came late: a shop that hears of a late payment for a session must have heard of its end.
 */
export async function expireOverdue(
  runner: QueryRunner,
  sessions: readonly Pick<CheckoutSession, "id" | "expiresAt">[],
): Promise<void> {
  if (sessions.length === 0) return;
  const events = sessions.map(({ id, expiresAt }) => sessionExpired(id, expiresAt));
  await runner.query(EXPIRE, [
    sessions.map(({ id }) => id),
    events.map(({ id }) => id),
    events.map(({ body }) => body),
  ]);
}
