import type { EntityManager } from "typeorm";
import {
  type Charge,
  type ChargeId,
  type ChargeRow,
  type ChargeStatus,
  chargeOf,
} from "../entities/charge.js";
import { idAround } from "../settlement/read-sessions.js";
import type { TransactionHash } from "../stellar/credit.js";

/** A charge, and the signed transaction that was handed in for it. */
export type ChargeRecord = Charge & {
  /** Of a fee bump the inner one; null of a charge outside the network. */
  readonly transactionHash: TransactionHash | null;
};

export type ChargeFilter = {
  readonly merchantId: string;
  readonly reference?: string | undefined;
  readonly status?: ChargeStatus | undefined;
  readonly provider?: string | undefined;
  /** Both exclusive, in whole milliseconds. */
  readonly createdAfter?: Date | undefined;
  readonly createdBefore?: Date | undefined;
};

/** What `recordOf` reads, of charges `c`. */
const WITH_TRANSACTION = `
  SELECT c.*, s.hash AS transaction_hash
  FROM charges c LEFT JOIN submissions s ON s.charge_id = c.id`;

const BY_ID = `${WITH_TRANSACTION} WHERE c.id = $1`;

const BY_REFERENCE = `SELECT id FROM charges WHERE merchant_id = $1 AND reference = $2`;

/** @param of whose, in the form that leads Postgres to the right index: see read-sessions.ts */
const list = (of: string, order: string) => `
  ${WITH_TRANSACTION}
  WHERE ${of}
    AND ($2::uuid IS NULL OR c.id < $2)
    AND ($3::text IS NULL OR c.status = $3)
    AND ($4::text IS NULL OR c.reference = $4)
    AND ($5::text IS NULL OR c.provider = $5)
    AND ($6::timestamptz IS NULL OR (c.id >= $7::uuid AND date_trunc('milliseconds', c.created_at) > $6))
    AND ($8::timestamptz IS NULL OR (c.id <= $9::uuid AND date_trunc('milliseconds', c.created_at) < $8))
  ORDER BY ${order}
  LIMIT $10`;

const LIST = list("c.merchant_id BETWEEN $1 AND $1", "c.merchant_id DESC, c.id DESC");

/** Merchant, status and id are an index of their own; so are merchant and reference. */
const LIST_FEW = list("c.merchant_id = $1", "c.id DESC");

/** Reads one charge. @param merchantId only if it is this merchant's */
export async function readCharge(
  manager: EntityManager,
  id: string,
  merchantId?: string,
): Promise<ChargeRecord | null> {
  const [row]: RecordRow[] = await manager.query(BY_ID, [id]);
  return row !== undefined && (merchantId ?? row.merchant_id) === row.merchant_id ? recordOf(row) : null;
}

/** The merchant's charge of this reference: there is one at the most. */
export async function chargeOfReference(
  manager: EntityManager,
  merchantId: string,
  reference: string,
): Promise<ChargeId | null> {
  const [row]: { id: ChargeId }[] = await manager.query(BY_REFERENCE, [merchantId, reference]);
  return row?.id ?? null;
}

/**
 * A merchant's charges, the newest first.
 * @param before only charges older than this one
 */
export async function listCharges(
  manager: EntityManager,
  filter: ChargeFilter,
  before: string | null,
  limit: number,
): Promise<ChargeRecord[]> {
  const { merchantId, reference, status, provider, createdAfter, createdBefore } = filter;
  const few = status !== undefined || reference !== undefined;
  const rows: RecordRow[] = await manager.query(few ? LIST_FEW : LIST, [
    merchantId,
    before,
    status ?? null,
    reference ?? null,
    provider ?? null,
    createdAfter?.toISOString() ?? null,
    idAround(createdAfter, "before"),
    createdBefore?.toISOString() ?? null,
    idAround(createdBefore, "after"),
    limit,
  ]);
  return rows.map(recordOf);
}

type RecordRow = ChargeRow & { transaction_hash: TransactionHash | null };

function recordOf({ transaction_hash, ...row }: RecordRow): ChargeRecord {
  return { ...chargeOf(row), transactionHash: transaction_hash };
}

export const OPEN_STATUSES = ["pending", "processing", "unknown"] as const;

export type OpenStatus = (typeof OPEN_STATUSES)[number];

/** Both ends of what is open stand in an index of their own: what this costs follows the open work. */
const OPEN = `
  ${WITH_TRANSACTION}
  WHERE c.id IN (
    SELECT id FROM charges
    WHERE status IN ('pending', 'processing', 'unknown') AND leased_since IS NULL AND status = $1
    UNION ALL
    SELECT id FROM charges WHERE leased_since IS NOT NULL AND status = $1
  )
  ORDER BY coalesce(c.unknown_since, c.created_at), c.id
  LIMIT $2`;

const NEWEST = `${WITH_TRANSACTION} ORDER BY c.id DESC LIMIT $1`;

/** Every merchant's open charges of a status, those first that have stood so for the longest. */
export async function listOpenCharges(
  manager: EntityManager,
  status: OpenStatus,
  limit: number,
): Promise<ChargeRecord[]> {
  const rows: RecordRow[] = await manager.query(OPEN, [status, limit]);
  return rows.map(recordOf);
}

/** Every merchant's charges, the newest first. */
export async function listNewestCharges(manager: EntityManager, limit: number): Promise<ChargeRecord[]> {
  const rows: RecordRow[] = await manager.query(NEWEST, [limit]);
  return rows.map(recordOf);
}

/** One turn of a worker at a charge, or what somebody else said of it. */
export type ChargeAttempt = {
  readonly attempt: number;
  /** `charge`: the provider was told to charge. `ask`: it was asked first. `told`: somebody told us, unasked. */
  readonly kind: "charge" | "ask" | "told";
  readonly startedAt: Date;
  /** Null while it is under way; of a lost one, when it was given up. */
  readonly endedAt: Date | null;
  readonly outcome: AttemptOutcome | null;
  readonly detail: string | null;
};

export const ATTEMPT_OUTCOMES = [
  "succeeded",
  "declined",
  "refused",
  "unknown",
  "in_progress",
  "absent",
  "lost",
] as const;

export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

const ATTEMPTS = `
  SELECT attempt, kind, started_at AS "startedAt", ended_at AS "endedAt", outcome, detail
  FROM charge_attempts
  WHERE charge_id = $1 AND ($2::integer IS NULL OR attempt < $2)
  ORDER BY attempt DESC
  LIMIT $3`;

/**
 * The attempts of a charge, the newest first: an unknown one is asked about without end.
 * @param before only attempts with a smaller number
 */
export async function listAttempts(
  manager: EntityManager,
  chargeId: string,
  before: number | null,
  limit: number,
): Promise<ChargeAttempt[]> {
  return manager.query(ATTEMPTS, [chargeId, before, limit]);
}
