import type { QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { TransactionHash } from "../stellar/credit.js";

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
