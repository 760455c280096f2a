import type { DataSource, EntityManager, QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { SignedTransaction } from "../horizon/transactions.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

/** What a transaction was handed in for. */
export type Purpose = { readonly chargeId: ChargeId } | { readonly sessionId: SessionId };

/** What became of storing a transaction. */
export type Stored =
  | { readonly kind: "stored" }
  /** It was handed in before, for this or something else. */
  | {
      readonly kind: "used";
      readonly chargeId: ChargeId | null;
      readonly sessionId: SessionId | null;
    }
  /**
   * It has applied already, and what it brought is in the books. For a charge it is stored all the same: the caller that accepts
   * the charge makes its payments of that, or rolls all of it back.
   */
  | { readonly kind: "applied" };

const APPLIED = `
  SELECT FROM credits WHERE transaction_hash = ANY ($1::text[]) OR inner_hash = ANY ($1::text[]) LIMIT 1`;

const STORE = `
  INSERT INTO submissions (hash, outer_hash, envelope, account, max_time, charge_id, session_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT ON CONSTRAINT submissions_used_once DO NOTHING
  RETURNING hash`;

/**
 * For the transaction around `storeSubmission`, where it keeps losing (`holdBackOthers`): no batch is settled meanwhile.
 * See holdBackAcceptance in settle.ts, its other side.
 */
export async function holdBackSettlement(runner: QueryRunner): Promise<void> {
  // A transaction that waits for this lock makes all others wait behind it: keep it short while a backup reads the table.
  await runner.query("SET LOCAL lock_timeout = '300ms'");
  await runner.query("LOCK TABLE submissions IN ACCESS EXCLUSIVE MODE");
  await runner.query("SET LOCAL lock_timeout = 0");
}

/** A session that goes on waiting must not own what will never pay it. */
const TAKE_BACK = `DELETE FROM submissions WHERE hash = $1`;

const USED_FOR = `SELECT charge_id, session_id FROM submissions WHERE hash = $1`;

/**
 * Keeps a signed transaction, inside the serializable transaction that accepts it, best as the last thing there:
 * nothing may be sent before that is committed. A credit of it that is settled at the same moment conflicts with this
 * one: either the credit finds what it pays, or this finds the credit.
 * @throws the database's error
 */
export async function storeSubmission(
  runner: QueryRunner,
  transaction: SignedTransaction,
  purpose: Purpose,
): Promise<Stored> {
  const { hash, outerHash, envelope, account, maxTime } = transaction;
  const { chargeId, sessionId } = { chargeId: null, sessionId: null, ...purpose };
  const values = [hash, outerHash, envelope, account, maxTime.toISOString(), chargeId, sessionId];
  const stored: unknown[] = await runner.query(STORE, values);
  if (stored.length > 0) {
    // Last, to leave a batch that is settled as little time as can be to write where this has looked: Postgres knows by
    // index pages who looked where, and would undo one of the two for its neighbours' sake.
    const hashes = [hash, outerHash].filter((one) => one !== null);
    const applied: unknown[] = await runner.query(APPLIED, [hashes]);
    if (applied.length === 0) return { kind: "stored" };
    if (sessionId !== null) await runner.query(TAKE_BACK, [hash]);
    return { kind: "applied" };
  }
  const [used]: { charge_id: ChargeId | null; session_id: SessionId | null }[] = await runner.query(
    USED_FOR,
    [hash],
  );
  return { kind: "used", chargeId: used?.charge_id ?? null, sessionId: used?.session_id ?? null };
}

/** A stored transaction, with what is known of it before the network is asked. */
export type Submission = SignedTransaction & {
  /** Whatever it did that is not in the books yet lies after this operation. */
  readonly after: OperationId;
  /** The code with which the network refused it when it was last sent; null where it refused nothing. */
  readonly refusal: string | null;
};

type Row = {
  hash: TransactionHash;
  outer_hash: TransactionHash | null;
  envelope: string;
  account: AccountId;
  max_time: Date;
  last_answer: string | null;
  after: string;
};

function submissionOf({
  hash,
  outer_hash,
  envelope,
  account,
  max_time,
  last_answer,
  after,
}: Row): Submission {
  return {
    hash,
    outerHash: outer_hash,
    envelope,
    account,
    maxTime: max_time,
    refusal: last_answer,
    after: parseOperationId(after),
  };
}

/**
 * What it brought up to the account's watermark is in the books, and has ended the charge: so the server's history is
 * needed from there on. But not over a hole that was accepted since: nobody knows what was in it.
 */
const READ = `
  SELECT s.hash, s.outer_hash, s.envelope, s.account, s.max_time, s.last_answer,
    least(c.watermark, (SELECT min(h.missing_from) - 1
                        FROM history_holes h
                        WHERE h.account = s.account AND h.accepted_at >= s.created_at)) AS after
  FROM submissions s
  JOIN watched_cursors c USING (account)
  WHERE s.charge_id = $1`;

/** Reads the transaction that was handed in for a charge. @throws the database's error */
export async function readSubmission(dataSource: DataSource, id: ChargeId): Promise<Submission | null> {
  const [row]: Row[] = await dataSource.query(READ, [id]);
  return row === undefined ? null : submissionOf(row);
}

/**
 * A lease that is older than this many seconds, by the database's clock, belongs to nobody: its process is gone, or
 * hangs. It is claimed directly, and nobody is asked first: the same envelope can be sent any number of times and
 * applies once, so that two who hold it at once do no harm.
 */
export const TAKEN_OVER_AFTER_S = 60;

/** A session's transaction that is ours to follow for a while. */
export type ClaimedSubmission = Submission & {
  readonly sessionId: SessionId;
  /** The last ledger close time that can pay its session. */
  readonly lastMoment: Date;
  /** Counts from 1: the fencing token. Only its holder says when to look again. */
  readonly attempt: number;
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
    greatest(s.payable_after, c.starting_cursor) AS after,
    s.expires_at + make_interval(secs => s.grace_seconds) AS last_moment,
    s.status = 'processing' AS is_awaited`;

type ClaimedRow = Row & { session_id: SessionId; attempts: number; last_moment: Date; is_awaited: boolean };

/**
 * Takes a session's transaction, for one attempt, in one statement that is committed before anything is sent.
 * @returns null when there is nothing to do now: ended, not due, or held by another
 */
export async function claimSubmission(
  dataSource: DataSource,
  hash: TransactionHash,
): Promise<ClaimedSubmission | null> {
  const [[row]]: [ClaimedRow[], number] = await dataSource.query(CLAIM, [hash]);
  if (row === undefined) return null;
  const { session_id: sessionId, attempts: attempt, last_moment: lastMoment, is_awaited: isAwaited } = row;
  return { ...submissionOf(row), sessionId, lastMoment, attempt, isAwaited };
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

/** A look that took so long that another took over says nothing about when to look next. */
const POSTPONE = `
  UPDATE submissions
  SET leased_since = NULL, next_attempt_at = now() + make_interval(secs => $3),
      last_answer = CASE WHEN $5 THEN $4 ELSE last_answer END
  WHERE hash = $1 AND attempts = $2 AND leased_since IS NOT NULL AND ended_at IS NULL`;

/**
 * Gives a session's transaction back until later, where it is still ours.
 * @param refusal what the network said when it was sent: null where it took it, undefined where it said nothing
 */
export async function postponeSubmission(
  dataSource: DataSource,
  { hash, attempt }: ClaimedSubmission,
  delayMs: number,
  refusal: string | null | undefined,
): Promise<void> {
  const values = [hash, attempt, delayMs / 1_000, refusal ?? null, refusal !== undefined];
  await dataSource.query(POSTPONE, values);
}

const END = `
  UPDATE submissions SET ended_at = now(), leased_since = NULL WHERE hash = $1 AND ended_at IS NULL`;

/** Ends the following of a session's transaction. */
export async function endSubmission(manager: EntityManager, hash: TransactionHash): Promise<void> {
  await manager.query(END, [hash]);
}

const RECORD_REFUSAL = `
  UPDATE submissions SET last_answer = $2 WHERE charge_id = $1 AND last_answer IS DISTINCT FROM $2`;

/** Writes what the network said when a charge's transaction was sent. @param refusal null where it took it */
export async function recordRefusal(
  runner: QueryRunner,
  id: ChargeId,
  refusal: string | null,
): Promise<void> {
  await runner.query(RECORD_REFUSAL, [id, refusal]);
}
