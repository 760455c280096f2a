import type { QueryRunner } from "typeorm";
import type { SessionId, SessionStatus } from "../entities/checkout-session.js";
import { type Event, sessionCancelled, sessionExpired } from "./events.js";
import { tell } from "./tell.js";

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
  await tell(runner, { sessionId: id, account: null }, await change());
  return { kind: "ended" };
}
