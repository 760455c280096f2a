import type { DataSource } from "typeorm";

/** Rows deleted by one statement, at the most: locks stay short. */
const BATCH = 5_000;

/** Keys are promised for 24 h; a retry that comes later is a new request. What somebody has locked is left for the next run. */
const FORGET = `
  WITH old AS (
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT ${BATCH} FOR UPDATE SKIP LOCKED
  ), forgotten AS (
    DELETE FROM idempotency_keys k USING old WHERE k.ctid = old.ctid RETURNING 1
  )
  SELECT count(*)::integer AS count FROM forgotten`;

/** Deletes the idempotency keys whose time is over. @returns how many */
export async function forgetIdempotencyKeys(dataSource: DataSource): Promise<number> {
  let forgotten = 0;
  for (;;) {
    const [{ count }]: [{ count: number }] = await dataSource.query(FORGET);
    forgotten += count;
    if (count < BATCH) return forgotten;
  }
}
