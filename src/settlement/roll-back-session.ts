import type { QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { TransactionHash } from "../stellar/credit.js";

/** The hash as the caller knew it: a session that another transaction is in flight for by now is left alone. */
const ROLL_BACK = `
  UPDATE checkout_sessions
  SET status = 'pending', processing_since = NULL, submitted_hash = NULL, submitted_max_time = NULL,
      last_result_code = coalesce($3, last_result_code)
  WHERE id = $1 AND status = 'processing' AND submitted_hash IS NOT DISTINCT FROM $2 AND NOT has_payment
  RETURNING id`;

/**
 * `processing` → `pending`, inside a serializable transaction. Only for a transaction that can't pay any more: it
 * failed, or it applied and paid something else, or its time is over.
 * @param resultCode what the network said to it, kept with the session; null where it never got there
 * @returns false where the session is not processing that transaction any more
 */
export async function rollBackSession(
  runner: QueryRunner,
  id: SessionId,
  hash: TransactionHash | null,
  resultCode: string | null,
): Promise<boolean> {
  const [rows]: [unknown[], number] = await runner.query(ROLL_BACK, [id, hash, resultCode]);
  return rows.length > 0;
}
