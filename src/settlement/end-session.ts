import type { DataSource, QueryRunner } from "typeorm";
import type { CheckoutSession, SessionId, SessionStatus } from "../entities/checkout-session.js";
import { type Event, sessionCancelled, sessionExpired } from "../outbox/events.js";
import { ofSession, recordEvent } from "../outbox/record-event.js";
import { allByHalves } from "../postgres/by-halves.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import type { TransactionHash } from "../stellar/credit.js";

/** What a merchant's wish to end a session found. */
export type SessionEnd =
  /** Done now, or by an earlier request. */
  | { readonly kind: "ended" }
  | { readonly kind: "refused"; readonly status: SessionStatus }
  | { readonly kind: "unknown" };

/**
 * A consumer that settles a credit of this session holds the same lock: whoever comes second sees what the first
 * has made true, or is run again.
 */
const LOCK = `SELECT status FROM checkout_sessions WHERE id = $1 AND merchant_id = $2 FOR NO KEY UPDATE`;

/** Its submissions are not sent any more. One that was sent can still apply: its money is judged like any other. */
const FORGET = `
  UPDATE submissions SET ended_at = now(), leased_since = NULL WHERE session_id = $1 AND ended_at IS NULL`;

const NOTHING_IN_FLIGHT = "processing_since = NULL, submitted_hash = NULL, submitted_max_time = NULL";

const CANCEL = `UPDATE checkout_sessions SET status = 'cancelled', ${NOTHING_IN_FLIGHT} WHERE id = $1`;

/**
 * It ends now, or when it would have ended anyway if that is earlier. In whole milliseconds, as events tell it.
 * A payment whose ledger closed before that still counts: it was in time.
 */
const EXPIRE = `
  UPDATE checkout_sessions
  SET status = 'expired', grace_seconds = 0, ${NOTHING_IN_FLIGHT},
      expires_at = least(date_trunc('milliseconds', now()), expires_at + make_interval(secs => grace_seconds))
  WHERE id = $1
  RETURNING expires_at`;

/** `pending` or `processing` → `cancelled`, with its event: a stranger's transaction must not keep a merchant from it. Inside a serializable transaction; safe to repeat. */
export async function cancelSession(
  runner: QueryRunner,
  merchantId: string,
  id: SessionId,
): Promise<SessionEnd> {
  return endSession(runner, merchantId, id, "cancelled", async () => {
    await runner.query(CANCEL, [id]);
    return sessionCancelled(id);
  });
}

/** `pending` or `processing` → `expired` before its time, with its event. Inside a serializable transaction; safe to repeat. */
export async function expireSessionNow(
  runner: QueryRunner,
  merchantId: string,
  id: SessionId,
): Promise<SessionEnd> {
  return endSession(runner, merchantId, id, "expired", async () => {
    const [[row]]: [{ expires_at: Date }[], number] = await runner.query(EXPIRE, [id]);
    if (row === undefined) throw new Error(`session ${id} is gone although it is locked`);
    return sessionExpired(id, row.expires_at);
  });
}

async function endSession(
  runner: QueryRunner,
  merchantId: string,
  id: SessionId,
  end: "cancelled" | "expired",
  change: () => Promise<Event>,
): Promise<SessionEnd> {
  const [session]: { status: SessionStatus }[] = await runner.query(LOCK, [id, merchantId]);
  if (session === undefined) return { kind: "unknown" };
  if (session.status === end) return { kind: "ended" };
  if (session.status !== "pending" && session.status !== "processing") {
    return { kind: "refused", status: session.status };
  }
  if (session.status === "processing") await runner.query(FORGET, [id]);
  await recordEvent(runner, { sessionId: id, account: null }, await change());
  return { kind: "ended" };
}

/** A signed transaction that is about to be submitted for a session. */
export type Submission = {
  /** Of a fee bump the inner one: bumped again it has another outer hash. */
  readonly hash: TransactionHash;
  /** The upper time bound of its envelope (CAP-21, timeBounds.maxTime). One without could apply at any time. */
  readonly maxTime: Date;
};

const BEGIN = `
  UPDATE checkout_sessions
  SET status = 'processing', processing_since = coalesce(processing_since, now()), submitted_hash = $2, submitted_max_time = $3,
      -- Of the one before: said of this one it would be untrue.
      last_result_code = NULL
  WHERE id = $1 AND status IN ('pending', 'processing')
  RETURNING id`;

/**
 * `pending` → `processing`, inside a transaction that is committed **before** the envelope is submitted: whatever
 * happens then, the hash is known, and recovery can ask the network what became of it. A session that is `processing`
 * has the newest one as its own from now on; the others are kept in `submissions`.
 * @returns false where the session is neither: then nothing may be submitted for it
 */
export async function beginProcessing(
  runner: QueryRunner,
  id: SessionId,
  { hash, maxTime }: Submission,
): Promise<boolean> {
  const [rows]: [unknown[], number] = await runner.query(BEGIN, [id, hash, maxTime.toISOString()]);
  return rows.length > 0;
}

const END = `
  UPDATE submissions SET ended_at = now(), leased_since = NULL
  WHERE hash = $2 AND session_id = $1 AND ended_at IS NULL`;

/**
 * The hash as the caller knew it: a session whose newest transaction is another one is left alone. Where others are still
 * in flight, the session goes on with one of them.
 */
const ROLL_BACK = `
  UPDATE checkout_sessions s
  SET status = CASE WHEN other.hash IS NULL THEN 'pending' ELSE 'processing' END,
      processing_since = CASE WHEN other.hash IS NULL THEN NULL ELSE s.processing_since END,
      submitted_hash = other.hash, submitted_max_time = other.max_time,
      last_result_code = CASE WHEN other.hash IS NULL THEN coalesce($3, s.last_result_code) END
  FROM (SELECT) AS one LEFT JOIN LATERAL (
    SELECT hash, max_time FROM submissions
    WHERE session_id = $1 AND ended_at IS NULL AND hash IS DISTINCT FROM $2
    ORDER BY max_time DESC, hash LIMIT 1) AS other ON true
  WHERE s.id = $1 AND s.status = 'processing' AND s.submitted_hash IS NOT DISTINCT FROM $2 AND NOT s.has_payment
  RETURNING s.status`;

/**
 * `processing` → `pending`, inside a serializable transaction. Only for a transaction that can't pay any more: it
 * failed, or it applied and paid something else, or its time is over.
 * @param resultCode what the network said to it, kept with the session; null where it never got there
 * @returns false where the session is not processing that transaction any more, or has another one in flight
 */
export async function rollBackSession(
  runner: QueryRunner,
  id: SessionId,
  hash: TransactionHash | null,
  resultCode: string | null,
): Promise<boolean> {
  if (hash !== null) await runner.query(END, [id, hash]);
  const [[row]]: [{ status: string }[], number] = await runner.query(ROLL_BACK, [id, hash, resultCode]);
  return row?.status === "pending";
}

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

const EXPIRE_OVERDUE = `
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
  await runner.query(EXPIRE_OVERDUE, [
    sessions.map(({ id }) => id),
    events.map(({ id }) => id),
    events.map(({ body }) => body),
  ]);
}
