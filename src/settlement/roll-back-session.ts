import type { QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { TransactionHash } from "../stellar/credit.js";

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
