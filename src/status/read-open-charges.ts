import type { EntityManager } from "typeorm";
import type { Charges } from "./status.js";

/**
 * Since when nobody knows. Of a charge whose provider has said that it is still deciding, somebody does: a bank debit
 * takes days. But a transaction is decided once its time bound has passed, whatever is said.
 */
const OLDEST_UNKNOWN = `
  SELECT extract(epoch FROM now() - min(CASE WHEN a.outcome = 'in_progress' THEN s.max_time ELSE c.unknown_since END))
  FROM charges c
  LEFT JOIN charge_attempts a ON a.charge_id = c.id AND a.attempt = c.attempts - CASE WHEN c.leased_since IS NULL THEN 0 ELSE 1 END
  LEFT JOIN submissions s ON s.charge_id = c.id
  WHERE c.status = 'unknown' AND (a.outcome IS DISTINCT FROM 'in_progress' OR s.max_time < now())`;

/** Leased charges stand in `charges_leased`, all other open ones in `charges_due`. */
const CHARGES = `
  SELECT sum(pending) AS pending, sum(processing) AS processing, sum(unknown) AS unknown, max(due) AS due,
         (${OLDEST_UNKNOWN}) AS oldest_unknown
  FROM (
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'processing') AS processing,
           count(*) FILTER (WHERE status = 'unknown') AS unknown,
           extract(epoch FROM now() - min(next_attempt_at) FILTER (WHERE status <> 'unknown' AND next_attempt_at < now())) AS due
    FROM charges WHERE status IN ('pending', 'processing', 'unknown') AND leased_since IS NULL
    UNION ALL
    SELECT 0, count(*) FILTER (WHERE status = 'processing'), count(*) FILTER (WHERE status = 'unknown'), NULL
    FROM charges WHERE leased_since IS NOT NULL
  ) AS open`;

type Row = {
  pending: string;
  processing: string;
  unknown: string;
  due: string | null;
  oldest_unknown: string | null;
};

/** Counts the charges that have not ended, every merchant's. */
export async function readOpenCharges(manager: EntityManager): Promise<Charges> {
  const [row]: Row[] = await manager.query(CHARGES);
  if (row === undefined) throw new Error("charges can't be counted");
  const { pending, processing, unknown, due, oldest_unknown: oldestUnknown } = row;
  return {
    pending: Number(pending),
    processing: Number(processing),
    unknown: Number(unknown),
    oldest_due_seconds: secondsOf(due),
    oldest_unknown_seconds: secondsOf(oldestUnknown),
  };
}

function secondsOf(value: string | null): number | null {
  return value === null ? null : Math.max(0, Math.round(Number(value)));
}
