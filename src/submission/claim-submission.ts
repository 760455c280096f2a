import type { DataSource } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";

/**
 * A lease that is older than this many seconds, by the database's clock, belongs to nobody: its process is gone, or
 * hangs. It is claimed directly, and nobody is asked first: the same envelope can be sent any number of times and
 * applies once, so that two who hold it at once do no harm.
 */
export const TAKEN_OVER_AFTER_S = 60;

/** A transaction that is ours to follow for a while. */
export type ClaimedSubmission = {
  readonly hash: TransactionHash;
  readonly outerHash: TransactionHash | null;
  readonly sessionId: SessionId;
  /** Base64, sent as it came. */
  readonly envelope: string;
  readonly account: AccountId;
  readonly maxTime: Date;
  /** The last ledger close time that can pay its session. */
  readonly lastMoment: Date;
  /** Counts from 1: the fencing token. Only its holder says when to look again. */
  readonly attempt: number;
  /** What the network said at the door to an earlier sending; null where it refused nothing. */
  readonly refusal: string | null;
  /** Whatever it did lies after this operation. */
  readonly after: OperationId;
  /** Whether its session still waits for a payment that is on its way. */
  readonly isAwaited: boolean;
};

/**
 * SKIP LOCKED: a row that somebody keeps locked would hold a worker until its statement times out, and with it everybody's
 * next look.
 */
const CLAIM = `
  WITH free AS MATERIALIZED (
    SELECT hash FROM submissions WHERE hash = $1 FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE submissions t SET attempts = t.attempts + 1, leased_since = now()
  FROM free, checkout_sessions s JOIN stream_cursors c USING (account)
  WHERE t.hash = free.hash AND s.id = t.session_id AND t.ended_at IS NULL AND t.next_attempt_at <= now()
    AND (t.leased_since IS NULL OR t.leased_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S}))
  RETURNING t.hash, t.outer_hash, t.session_id, t.envelope, t.account, t.max_time, t.attempts, t.last_answer,
    greatest(s.payable_after, c.starting_cursor) AS payable_after,
    s.expires_at + make_interval(secs => s.grace_seconds) AS last_moment,
    s.status = 'processing' AS is_awaited`;

type Row = {
  hash: TransactionHash;
  outer_hash: TransactionHash | null;
  session_id: SessionId;
  envelope: string;
  account: AccountId;
  max_time: Date;
  attempts: number;
  last_answer: string | null;
  payable_after: string;
  last_moment: Date;
  is_awaited: boolean;
};

/**
 * Takes a session's transaction, for one attempt, in one statement that is committed before anything is sent.
 * @returns null when there is nothing to do now: ended, not due, or held by another
 */
export async function claimSubmission(
  dataSource: DataSource,
  hash: TransactionHash,
): Promise<ClaimedSubmission | null> {
  const [[row]]: [Row[], number] = await dataSource.query(CLAIM, [hash]);
  if (row === undefined) return null;
  return {
    hash: row.hash,
    outerHash: row.outer_hash,
    sessionId: row.session_id,
    envelope: row.envelope,
    account: row.account,
    maxTime: row.max_time,
    lastMoment: row.last_moment,
    attempt: row.attempts,
    refusal: row.last_answer,
    after: BigInt(row.payable_after) as OperationId,
    isAwaited: row.is_awaited,
  };
}

/** Of sessions: a charge has a lease of its own. `submissions_due` holds what is open, and nothing of the past. */
const DUE = `
  SELECT hash FROM submissions
  WHERE ended_at IS NULL AND session_id IS NOT NULL AND next_attempt_at <= now()
    AND (leased_since IS NULL OR leased_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S}))
  ORDER BY next_attempt_at, hash
  LIMIT $1`;

/** Finds transactions of sessions that are to be sent, or asked for, now: those that wait longest first. */
export async function findDueSubmissions(dataSource: DataSource, limit: number): Promise<TransactionHash[]> {
  const rows: { hash: TransactionHash }[] = await dataSource.query(DUE, [limit]);
  return rows.map(({ hash }) => hash);
}
