import type { EntityManager } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import {
  CREDIT_CONDITIONS,
  type CreditFacts,
  type CreditFilter,
  creditValues,
  FACT_COLUMNS,
  type FactRow,
  factsOf,
  NEWEST_FIRST,
  OF_ACCOUNT,
  VERDICT_COLUMNS,
  type Verdict,
  type VerdictRow,
  verdictOf,
} from "../entities/credit.js";
import type { CreditKey } from "../stellar/credit.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

export type PaymentRecord = CreditFacts & {
  /** Null where it paid a charge. */
  readonly sessionId: SessionId | null;
  /** Null where it settled a session. A charge can have several payments. */
  readonly chargeId: ChargeId | null;
  readonly surplus: Stroops;
  readonly settledAt: Date;
  /** Set where a person accepted what came late or short. */
  readonly verdict: Verdict | null;
};

export type PaymentFilter = CreditFilter & { readonly chargeId?: string | undefined };

/** Page by page of each account, so that a long history is never sorted as a whole. */
const LIST = `
  SELECT found.*, ${VERDICT_COLUMNS}
  FROM receiving_accounts a
  CROSS JOIN LATERAL (
    SELECT ${FACT_COLUMNS}, p.session_id, p.charge_id, p.surplus, p.settled_at
    FROM credits c JOIN payments p USING (operation_id, move_index)
    WHERE ${OF_ACCOUNT} AND ${CREDIT_CONDITIONS}
      AND ($13::uuid IS NULL OR (p.session_id = $13 AND c.operation_id = (
        SELECT s.operation_id FROM session_payments s WHERE s.session_id = $13)))
      AND ($14::uuid IS NULL OR p.charge_id = $14)
    ORDER BY ${NEWEST_FIRST}
    LIMIT $2
  ) found
  LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  WHERE a.merchant_id = $1
  ORDER BY found.operation_id DESC, found.move_index DESC
  LIMIT $2`;

/**
 * A merchant's payments, the newest first.
 * @param before only those that the network made before this one
 */
export async function listPayments(
  manager: EntityManager,
  merchantId: string,
  filter: PaymentFilter,
  before: CreditKey | null,
  limit: number,
): Promise<PaymentRecord[]> {
  const { sessionId, chargeId } = filter;
  const values = [merchantId, limit, ...creditValues(filter, before), sessionId ?? null, chargeId ?? null];
  const rows: (FactRow & VerdictRow & PaymentRow)[] = await manager.query(LIST, values);
  return rows.map((row) => ({
    ...factsOf(row),
    sessionId: row.session_id,
    chargeId: row.charge_id,
    surplus: toStroops(BigInt(row.surplus)),
    settledAt: row.settled_at,
    verdict: verdictOf(row),
  }));
}

type PaymentRow = {
  session_id: SessionId | null;
  charge_id: ChargeId | null;
  surplus: string;
  settled_at: Date;
};
