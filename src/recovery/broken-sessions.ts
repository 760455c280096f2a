import type { SessionId } from "../entities/checkout-session.js";
import type { DecidableSession } from "../settlement/decide.js";
import { type SessionRow, sessionOfRow } from "../settlement/find-sessions.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import type { Run } from "./repair.js";

/** Sessions of one kind looked at in one run, at the most. */
const PER_RUN = 500;

/** A session that recovery looks at, as it was when the run began. */
export type BrokenSession = DecidableSession & {
  readonly submittedHash: TransactionHash | null;
  /** Of the fee bump in which it was handed in; null where it was none. */
  readonly submittedOuterHash: TransactionHash | null;
  readonly submittedMaxTime: Date | null;
  readonly processingSince: Date | null;
  readonly paidAt: Date | null;
  /** Every credit that can pay it comes after this. */
  readonly payableAfter: OperationId;
};

const COLUMNS = `
  s.id, s.account, s.memo_key, s.asset, s.amount, s.status, s.expires_at, s.grace_seconds,
  s.submitted_hash, s.submitted_max_time, s.processing_since, s.paid_at,
  (SELECT outer_hash FROM submissions t WHERE t.hash = s.submitted_hash) AS submitted_outer_hash,
  greatest(s.payable_after, c.starting_cursor) AS payable_after`;

/**
 * In an order that every run draws anew: what can't be put right yet would otherwise stand in front of the rest for
 * ever. It sorts what is broken, which is little.
 */
const DRAWN = `ORDER BY md5(s.id::text || $1::text) LIMIT ${PER_RUN}`;

const BROKEN = `
  SELECT ${COLUMNS}
  FROM unsettled_sessions u
  JOIN checkout_sessions s ON s.id = u.session_id
  JOIN stream_cursors c ON c.account = s.account`;

/** Led by the partial index on what is processing, oldest first. */
export const PROCESSING_TOO_LONG = `
  ${BROKEN} WHERE u.status = 'processing' AND u.processing_since < now() - make_interval(secs => $2) ${DRAWN}`;

/** Led by the partial index on what contradicts itself. */
export const PAID_WITHOUT_PAYMENT = `${BROKEN} WHERE u.status = 'paid' AND NOT u.has_payment ${DRAWN}`;

export const PAYMENT_WITHOUT_PAID = `${BROKEN} WHERE u.status <> 'paid' AND u.has_payment ${DRAWN}`;

/** @param query one of the three above */
export async function readBroken(run: Run, query: string): Promise<BrokenSession[]> {
  const values = query === PROCESSING_TOO_LONG ? [run.id, run.afterSeconds] : [run.id];
  const rows: Row[] = await run.dataSource.query(query, values);
  return rows.map((row) => ({
    ...sessionOfRow(row),
    submittedHash: row.submitted_hash,
    submittedOuterHash: row.submitted_outer_hash,
    submittedMaxTime: row.submitted_max_time,
    processingSince: row.processing_since,
    paidAt: row.paid_at,
    payableAfter: parseOperationId(row.payable_after),
  }));
}

/** By receiving account: one search serves all of an account's. */
export function byAccount(sessions: readonly BrokenSession[]): Map<AccountId, BrokenSession[]> {
  return Map.groupBy(sessions, ({ account }) => account);
}

type Row = SessionRow & {
  id: SessionId;
  submitted_hash: TransactionHash | null;
  submitted_outer_hash: TransactionHash | null;
  submitted_max_time: Date | null;
  processing_since: Date | null;
  paid_at: Date | null;
  payable_after: string;
};
