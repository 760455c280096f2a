import type { EntityManager, QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import {
  CREDIT_CONDITIONS,
  type CreditFacts,
  type CreditFilter,
  creditValues,
  type ExceptionReason,
  FACT_COLUMNS,
  type FactRow,
  factsOf,
  VERDICT_COLUMNS,
  type Verdict,
  type VerdictRow,
  verdictOf,
} from "../entities/credit.js";
import type { AccountId, CreditKey } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

export type ExceptionRecord = CreditFacts & {
  readonly reason: ExceptionReason;
  readonly sessionId: SessionId | null;
  readonly detail: string;
  readonly raisedAt: Date;
  /** Null while it waits for one. */
  readonly verdict: Verdict | null;
};

export type ExceptionFilter = CreditFilter & {
  readonly reason?: ExceptionReason | undefined;
  /** Whether it waits for a verdict. */
  readonly open?: boolean | undefined;
};

const CONDITIONS = `${CREDIT_CONDITIONS}
      AND ($13::uuid IS NULL OR x.session_id = $13)
      AND ($14::text IS NULL OR x.reason = $14)`;

/**
 * Exceptions as they were raised: those that are still one, and those that were accepted and are payments now,
 * of which the verdict keeps what they were.
 */
const LIST = `
  SELECT found.*
  FROM stream_cursors a LEFT JOIN receiving_accounts owned USING (account)
  CROSS JOIN LATERAL (
    (SELECT ${FACT_COLUMNS}, x.reason, x.session_id, x.detail, x.raised_at, ${VERDICT_COLUMNS}
    FROM credits c
    JOIN payment_exceptions x USING (operation_id, move_index)
    LEFT JOIN exception_verdicts v USING (operation_id, move_index)
    WHERE c.account = a.account AND c.outcome = 'exception' AND ${CONDITIONS}
      AND ($15::boolean IS NULL OR (v.verdict IS NULL) = $15)
    ORDER BY c.operation_id DESC, c.move_index DESC LIMIT $2)
    UNION ALL
    (SELECT ${FACT_COLUMNS}, x.reason, x.session_id, x.detail, x.raised_at,
           x.verdict, x.note, x.decided_by, x.decided_at
    FROM exception_verdicts x
    JOIN credits c USING (operation_id, move_index)
    WHERE c.account = a.account AND x.verdict = 'accept' AND $15::boolean IS NOT TRUE AND ${CONDITIONS}
    ORDER BY c.operation_id DESC, c.move_index DESC LIMIT $2)
  ) found
  WHERE $1::uuid IS NULL OR owned.merchant_id = $1
  ORDER BY found.operation_id DESC, found.move_index DESC
  LIMIT $2`;

/**
 * Exceptions, the newest first.
 * @param merchantId null for the operator, who also sees accounts that are nobody's
 * @param before only those that the network made before this one
 */
export async function listExceptions(
  manager: EntityManager,
  merchantId: string | null,
  filter: ExceptionFilter,
  before: CreditKey | null,
  limit: number,
): Promise<ExceptionRecord[]> {
  const { sessionId, reason, open } = filter;
  const values = [
    merchantId,
    limit,
    ...creditValues(filter, before),
    sessionId ?? null,
    reason ?? null,
    open ?? null,
  ];
  const rows: ExceptionRow[] = await manager.query(LIST, values);
  return rows.map(recordOf);
}

/**
 * By the key alone: the list goes through every account, and what a serializable transaction has read, others can't
 * change beside it.
 */
const BY_KEY = `
  SELECT ${FACT_COLUMNS}, coalesce(e.reason, v.reason) AS reason, coalesce(e.session_id, v.session_id) AS session_id,
         coalesce(e.detail, v.detail) AS detail, coalesce(e.raised_at, v.raised_at) AS raised_at, ${VERDICT_COLUMNS}
  FROM credits c
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  LEFT JOIN receiving_accounts owned ON owned.account = c.account
  WHERE c.operation_id = $1 AND c.move_index = $2 AND (e.reason IS NOT NULL OR v.verdict = 'accept')
    AND ($3::uuid IS NULL OR owned.merchant_id = $3)`;

/** @param merchantId null for the operator */
export async function readException(
  manager: EntityManager,
  merchantId: string | null,
  key: CreditKey,
): Promise<ExceptionRecord | null> {
  const values = [key.operationId.toString(), key.moveIndex, merchantId];
  const [found]: ExceptionRow[] = await manager.query(BY_KEY, values);
  return found === undefined ? null : recordOf(found);
}

function recordOf(row: ExceptionRow): ExceptionRecord {
  return {
    ...factsOf(row),
    reason: row.reason,
    sessionId: row.session_id,
    detail: row.detail,
    raisedAt: row.raised_at,
    verdict: verdictOf(row),
  };
}

type ExceptionRow = FactRow &
  VerdictRow & { reason: ExceptionReason; session_id: SessionId | null; detail: string; raised_at: Date };

/** A credit that could not be read, waiting for a person. */
export type UnreadableCredit = {
  /** `<operation id>-<move index>` */
  readonly key: string;
  readonly operationId: OperationId;
  readonly account: AccountId;
  readonly why: string;
  readonly raisedAt: Date;
};

const LIST_UNREADABLE = `
  SELECT e.operation_id::text AS operation_id, e.move_index, c.account, e.detail, e.raised_at
  FROM payment_exceptions e JOIN credits c USING (operation_id, move_index)
  WHERE e.reason = 'unreadable' AND NOT EXISTS (
    SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
  ORDER BY e.operation_id, e.move_index`;

/** Every credit recorded as `unreadable` and not dismissed by a person, oldest first. */
export async function listUnreadable(manager: EntityManager): Promise<UnreadableCredit[]> {
  const rows: {
    operation_id: string;
    move_index: number;
    account: AccountId;
    detail: string;
    raised_at: Date;
  }[] = await manager.query(LIST_UNREADABLE);
  return rows.map((row) => ({
    key: `${row.operation_id}-${row.move_index}`,
    operationId: parseOperationId(row.operation_id),
    account: row.account,
    why: row.detail,
    raisedAt: row.raised_at,
  }));
}

/**
 * Only `unreadable` ones: a payment, or an exception that a person may be looking at, is never taken back, nor is what a person has decided about.
 * The credit goes with its exception, in the caller's transaction: it is decided anew there, or stays.
 */
const FORGET = `
  WITH unreadable AS (
    DELETE FROM payment_exceptions e
    USING unnest($1::bigint[], $2::integer[]) AS wanted (operation_id, move_index)
    WHERE e.operation_id = wanted.operation_id AND e.move_index = wanted.move_index AND e.reason = 'unreadable'
      AND NOT EXISTS (
        SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
    RETURNING e.operation_id, e.move_index
  )
  DELETE FROM credits c USING unreadable u
  WHERE c.operation_id = u.operation_id AND c.move_index = u.move_index`;

/** Takes back the `unreadable` exceptions of these credits, so that a replay can decide them. */
export async function forgetUnreadable(runner: QueryRunner, keys: readonly CreditKey[]): Promise<void> {
  await runner.query(FORGET, [
    keys.map((key) => key.operationId.toString()),
    keys.map((key) => key.moveIndex),
  ]);
}
