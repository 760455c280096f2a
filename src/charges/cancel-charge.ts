import type { QueryRunner } from "typeorm";
import type { ChargeId, ChargeStatus } from "../entities/charge.js";
import { chargeCancelled } from "../settlement/charge-events.js";
import { lockCharge } from "../settlement/end-charge.js";
import { tell } from "../settlement/tell.js";

/** What a merchant's wish to cancel a charge found. */
export type Cancellation =
  /** Done now, or by an earlier request. */
  | { readonly kind: "cancelled" }
  /** A worker was first: it may have charged. */
  | { readonly kind: "refused"; readonly status: ChargeStatus }
  | { readonly kind: "no_such_charge" };

const CANCEL = `UPDATE charges SET status = 'cancelled', ended_at = now() WHERE id = $1`;

/**
 * `pending` → `cancelled`, with its event. Inside a serializable transaction; safe to repeat. A worker that claims the
 * charge at the same moment waits for the same row: whoever comes second finds it claimed, or cancelled.
 */
export async function cancelCharge(
  runner: QueryRunner,
  merchantId: string,
  id: ChargeId,
): Promise<Cancellation> {
  const charge = await lockCharge(runner, id);
  if (charge === null || charge.merchantId !== merchantId) return { kind: "no_such_charge" };
  if (charge.status === "cancelled") return { kind: "cancelled" };
  if (charge.status !== "pending") return { kind: "refused", status: charge.status };
  await runner.query(CANCEL, [id]);
  await tell(runner, { chargeId: id }, chargeCancelled(charge));
  return { kind: "cancelled" };
}
