import type { EntityManager } from "typeorm";
import { type ChargeRecord, type ChargeRow, chargeOf, WITH_TRANSACTION } from "./read-charges.js";

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
  const rows: ChargeRow[] = await manager.query(OPEN, [status, limit]);
  return rows.map(chargeOf);
}

/** Every merchant's charges, the newest first. */
export async function listNewestCharges(manager: EntityManager, limit: number): Promise<ChargeRecord[]> {
  const rows: ChargeRow[] = await manager.query(NEWEST, [limit]);
  return rows.map(chargeOf);
}
