import type { DataSource } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import { runPrepared } from "../postgres/strict-client.js";
import type { TraceParent } from "../tracing.js";

/** Charges of one merchant that are worked on at once, at the most: a thousand that are due delay nobody else's. */
export const AT_ONCE = 64;

/** Just as the index `charges_due` has it. */
const OPEN = `status IN ('pending', 'processing', 'unknown') AND leased_since IS NULL`;

/**
 * Per merchant, the first charges that could be claimed now, less what is leased. Merchants are found by skipping from
 * one to the next in the index: its size follows the open work, while the table of merchants only grows.
 */
const DUE = `
  WITH RECURSIVE waiting AS (
    (SELECT merchant_id FROM charges WHERE ${OPEN} AND ($2::uuid IS NULL OR merchant_id = $2)
     ORDER BY merchant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.merchant_id FROM charges c WHERE ${OPEN} AND c.merchant_id > w.merchant_id
            ORDER BY c.merchant_id LIMIT 1)
    FROM waiting w WHERE w.merchant_id IS NOT NULL AND $2::uuid IS NULL
  ), leased AS (
    SELECT merchant_id, count(*) AS count FROM charges WHERE leased_since IS NOT NULL GROUP BY merchant_id
  )
  SELECT due.id, w.merchant_id AS "merchantId", due.provider, due.attempts,
    (SELECT trace_parent FROM outbox_events o WHERE o.type = 'charge.created' AND o.subject = due.id::text) AS trace
  FROM waiting w
  LEFT JOIN leased ON leased.merchant_id = w.merchant_id
  CROSS JOIN LATERAL (
    SELECT id, provider, attempts, row_number() OVER (ORDER BY next_attempt_at, id) AS place FROM (
      SELECT c.id, c.provider, c.attempts, c.next_attempt_at FROM charges c
      WHERE c.merchant_id = w.merchant_id AND ${OPEN} AND c.next_attempt_at <= now() AND c.provider = ANY($1)
      ORDER BY c.next_attempt_at, c.id LIMIT ${AT_ONCE}
    ) AS first
  ) AS due
  WHERE due.place <= ${AT_ONCE} - coalesce(leased.count, 0)
  ORDER BY due.place`;

/** A charge that is due. */
export type DueCharge = {
  readonly id: ChargeId;
  readonly merchantId: string;
  readonly provider: string;
  /** Those before: a job of an earlier attempt must not stand for the next one. */
  readonly attempts: number;
  /** The trace that it was accepted in, to go on in. */
  readonly trace: TraceParent | null;
};

/**
 * Finds what is to be charged or asked for now: a few charges of each merchant.
 * @param providers those that can be called now, by name: the rest is left where it is
 * @param merchantId that one's alone; every merchant's by default
 */
export async function findDueCharges(
  dataSource: DataSource,
  providers: readonly string[],
  merchantId: string | null = null,
): Promise<DueCharge[]> {
  if (providers.length === 0) return [];
  // Planned for a merchant each time: a plan for any of them would walk through all the others.
  if (merchantId !== null) return dataSource.query(DUE, [providers, merchantId]);
  return runPrepared(dataSource.manager, { name: "find_due_charges", text: DUE }, [providers, null]);
}
