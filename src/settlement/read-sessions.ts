import type { EntityManager } from "typeorm";
import {
  type CheckoutSession,
  type SessionRow,
  type SessionStatus,
  sessionOfRow,
} from "../entities/checkout-session.js";
import type { ExceptionReason } from "../entities/credit.js";
import type { TransactionHash } from "../stellar/credit.js";
import { toStroops } from "../stellar/stroops.js";
import { type Anomaly, anomalyOf } from "./decide.js";

/** What only recovery asks about. */
type Submission = "submittedMaxTime" | "processingSince" | "lastResultCode" | "payableAfter";

/** A session on both axes. */
export type SessionWithAnomaly = Omit<CheckoutSession, Submission> & {
  /** The unexpected thing about its money; null where there is none. */
  readonly anomaly: Anomaly | null;
};

export type SessionFilter = {
  readonly merchantId: string;
  readonly status?: SessionStatus | undefined;
  /** Both exclusive, in whole milliseconds. */
  readonly createdAfter?: Date | undefined;
  readonly createdBefore?: Date | undefined;
  /** Every one of these keys with exactly this value. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
};

/** The money of the sessions that `chosen` names. Exceptions that have a verdict say nothing any more. */
const withAnomaly = (chosen: string) => `
  WITH chosen AS (${chosen})
  SELECT s.*, p.surplus, o.reasons
  FROM chosen s
  LEFT JOIN session_payments p ON p.session_id = s.id
  LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT e.reason) AS reasons
    FROM payment_exceptions e
    WHERE e.session_id = s.id AND NOT EXISTS (
      SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
  ) o ON true
  ORDER BY s.id DESC`;

const BY_IDS = withAnomaly(`SELECT * FROM checkout_sessions WHERE id = ANY ($1::uuid[])`);

/**
 * Times are compared as they are shown, in milliseconds: whoever asks from the last one it saw gets no repetition.
 * A search by metadata looks among the sessions that have any: the index holds no others.
 */
const CONDITIONS = `
      ($2::uuid IS NULL OR s.id < $2)
      AND ($3::text IS NULL OR s.status = $3)
      AND ($4::timestamptz IS NULL OR (s.id >= $5::uuid AND date_trunc('milliseconds', s.created_at) > $4))
      AND ($6::timestamptz IS NULL OR (s.id <= $7::uuid AND date_trunc('milliseconds', s.created_at) < $6))
      AND ($8::jsonb IS NULL OR (s.metadata @> $8 AND s.metadata <> '{}'))`;

/**
 * A range of one merchant: of an equality Postgres would know that the merchant is no part of the order, and would
 * then walk the primary key backwards through every other merchant's sessions.
 */
const LIST = withAnomaly(`
    SELECT s.* FROM checkout_sessions s
    WHERE s.merchant_id BETWEEN $1 AND $1 AND ${CONDITIONS}
    ORDER BY s.merchant_id DESC, s.id DESC
    LIMIT $9`);

/**
 * By the tables that list a merchant's sessions by where they stand: the status itself is in no index. OFFSET 0: one
 * session after the other; merged, both would be walked from the end, through every other merchant's sessions.
 */
const listBy = (listed: string) =>
  withAnomaly(`
    SELECT s.*
    FROM ${listed} l
    CROSS JOIN LATERAL (SELECT * FROM checkout_sessions WHERE id = l.session_id OFFSET 0) AS s
    WHERE l.merchant_id = $1 AND ${CONDITIONS.replaceAll("s.id", "l.session_id")}
    ORDER BY l.session_id DESC
    LIMIT $9`);

const LIST_PAID = listBy("paid_sessions");
const LIST_UNPAID = listBy("(SELECT * FROM unsettled_sessions WHERE status = $3)");

/** Reads sessions of any merchant; those that don't exist are absent. */
export async function readSessions(
  manager: EntityManager,
  ids: readonly string[],
): Promise<SessionWithAnomaly[]> {
  if (ids.length === 0) return [];
  const rows: FullRow[] = await manager.query(BY_IDS, [ids]);
  return rows.map(fromRow);
}

/** Reads one session. @param merchantId only if it is this merchant's */
export async function readSession(
  manager: EntityManager,
  id: string,
  merchantId?: string,
): Promise<SessionWithAnomaly | null> {
  const [session] = await readSessions(manager, [id]);
  return session !== undefined && (merchantId ?? session.merchantId) === session.merchantId ? session : null;
}

/**
 * A merchant's sessions, the newest first.
 * @param before only sessions older than this one
 */
export async function listSessions(
  manager: EntityManager,
  filter: SessionFilter,
  before: string | null,
  limit: number,
): Promise<SessionWithAnomaly[]> {
  const { merchantId, status, createdAfter, createdBefore, metadata } = filter;
  const hasMetadata = metadata !== undefined && Object.keys(metadata).length > 0;
  const byStatus = status === "paid" ? LIST_PAID : LIST_UNPAID;
  const rows: FullRow[] = await manager.query(status === undefined || hasMetadata ? LIST : byStatus, [
    merchantId,
    before,
    status ?? null,
    createdAfter?.toISOString() ?? null,
    idAround(createdAfter, "before"),
    createdBefore?.toISOString() ?? null,
    idAround(createdBefore, "after"),
    hasMetadata ? JSON.stringify(metadata) : null,
    limit,
  ]);
  return rows.map(fromRow);
}

type FullRow = SessionRow & {
  merchant_id: string;
  submitted_hash: TransactionHash | null;
  paid_at: Date | null;
  success_url: string | null;
  cancel_url: string | null;
  metadata: Record<string, string>;
  created_at: Date;
  surplus: string | null;
  reasons: ExceptionReason[] | null;
};

function fromRow(row: FullRow): SessionWithAnomaly {
  return {
    ...sessionOfRow(row),
    merchantId: row.merchant_id,
    submittedHash: row.submitted_hash,
    paidAt: row.paid_at,
    successUrl: row.success_url,
    cancelUrl: row.cancel_url,
    metadata: row.metadata,
    createdAt: row.created_at,
    anomaly: anomalyOf(row.surplus === null ? null : toStroops(BigInt(row.surplus)), row.reasons ?? []),
  };
}

/** An id's time is by the clock of the process that made it, `created_at` by the database's. */
const SKEW_MS = 86_400_000;

/**
 * An id that is surely before, or after, all that were made at a time: ids begin with their time (UUIDv7), so that a
 * range of times is a range of the index.
 */
export function idAround(time: Date | undefined, side: "before" | "after"): string | null {
  if (time === undefined) return null;
  const skewMs = side === "before" ? -SKEW_MS : SKEW_MS;
  const ms = Math.min(Math.max(time.getTime() + skewMs, 0), 2 ** 48 - 1);
  const hex = ms.toString(16).padStart(12, "0") + (side === "before" ? "0" : "f").repeat(20);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
