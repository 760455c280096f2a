import type { EntityManager } from "typeorm";
import type { ExceptionReason } from "../../entities/payment-exception.js";
import { readSession } from "../../settlement/read-sessions.js";
import { parseAsset } from "../../stellar/asset.js";
import { toStroops } from "../../stellar/stroops.js";
import type { Checkout } from "./view.js";

/** With what settled it, what the network refused, and with each credit that settled nothing and waits for a verdict, the oldest first. */
const READ_MONEY = `
  SELECT m.name, p.surplus, o.odd, s.last_result_code, t.last_answer
  FROM merchants m
  JOIN checkout_sessions s ON s.id = $2
  LEFT JOIN submissions t ON t.hash = s.submitted_hash
  LEFT JOIN session_payments p ON p.session_id = $2
  LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('reason', e.reason, 'amount', c.amount::text, 'asset', c.asset)
                    ORDER BY c.operation_id, c.move_index) AS odd
    FROM payment_exceptions e JOIN credits c USING (operation_id, move_index)
    WHERE e.session_id = $2 AND c.amount IS NOT NULL AND NOT EXISTS (
      SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
  ) o ON true
  WHERE m.id = $1`;

type MoneyRow = {
  name: string;
  surplus: string | null;
  last_result_code: string | null;
  last_answer: string | null;
  odd: { reason: ExceptionReason; amount: string; asset: string }[] | null;
};

/** Reads what a session's page is made from, in one snapshot: words and amounts must belong together. */
export async function readCheckout(manager: EntityManager, id: string): Promise<Checkout | null> {
  return manager.transaction("REPEATABLE READ", async (snapshot) => {
    const session = await readSession(snapshot, id);
    if (session === null) return null;
    const [row]: MoneyRow[] = await snapshot.query(READ_MONEY, [session.merchantId, id]);
    if (row === undefined) return null;
    return {
      session,
      shop: row.name,
      refused: row.last_result_code,
      delayed: row.last_answer,
      surplus: row.surplus === null ? null : toStroops(BigInt(row.surplus)),
      odd: (row.odd ?? []).map(({ reason, amount, asset }) => ({
        reason,
        amount: toStroops(BigInt(amount)),
        asset: parseAsset(asset),
      })),
    };
  });
}
