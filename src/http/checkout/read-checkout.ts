import type { EntityManager } from "typeorm";
import type { ExceptionReason, VerdictWord } from "../../entities/credit.js";
import { readSession } from "../../settlement/read-sessions.js";
import { type KeptState, keptObstacle } from "../../settlement/watch-account.js";
import { parseAsset } from "../../stellar/asset.js";
import type { Obstacle } from "../../stellar/payable.js";
import { toStroops } from "../../stellar/stroops.js";
import type { Checkout } from "./view.js";

/** With what settled it, what the network refused, what it said of the account, and with each credit that settled nothing and waits for a verdict, the oldest first. */
const READ_MONEY = `
  SELECT m.name, p.surplus, o.odd, s.last_result_code, t.last_answer, r.obstacle, r.room
  FROM merchants m
  JOIN checkout_sessions s ON s.id = $2
  LEFT JOIN submissions t ON t.hash = s.submitted_hash
  LEFT JOIN session_payments p ON p.session_id = $2
  LEFT JOIN receiving_states r ON r.account = s.account AND r.asset = s.asset
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
  obstacle: Obstacle | null;
  /** Null where the account was never asked for. */
  room: string | null;
  odd: { reason: ExceptionReason; amount: string; asset: string }[] | null;
};

/** Credits that one page lists. */
const MOST_LISTED = 20;

/** Every credit of a session that could be read: its payment, and what settled nothing, with the verdict. */
const READ_ARRIVED = `
  SELECT c.amount::text AS amount, c.asset, e.reason, v.verdict
  FROM (
    SELECT operation_id, move_index FROM session_payments WHERE session_id = $1
    UNION SELECT operation_id, move_index FROM payment_exceptions WHERE session_id = $1) AS own
  JOIN credits c USING (operation_id, move_index)
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  WHERE c.amount IS NOT NULL AND c.asset IS NOT NULL
  ORDER BY c.operation_id, c.move_index
  LIMIT ${MOST_LISTED + 1}`;

type ArrivedRow = {
  amount: string;
  asset: string;
  reason: ExceptionReason | null;
  verdict: VerdictWord | null;
};

function keptOf({ obstacle, room }: MoneyRow): KeptState | null {
  return room === null ? null : { obstacle, room: toStroops(BigInt(room)) };
}

/** Reads what a session's page is made from, in one snapshot: words and amounts must belong together. */
export async function readCheckout(manager: EntityManager, id: string): Promise<Checkout | null> {
  return manager.transaction("REPEATABLE READ", async (snapshot) => {
    const session = await readSession(snapshot, id);
    if (session === null) return null;
    const [row]: MoneyRow[] = await snapshot.query(READ_MONEY, [session.merchantId, id]);
    if (row === undefined) return null;
    const arrived: ArrivedRow[] = await snapshot.query(READ_ARRIVED, [id]);
    return {
      session,
      shop: row.name,
      refused: row.last_result_code,
      delayed: row.last_answer,
      obstacle: keptObstacle(keptOf(row), session.amount),
      arrived: arrived.slice(0, MOST_LISTED).map(({ amount, asset, ...credit }) => ({
        ...credit,
        amount: toStroops(BigInt(amount)),
        asset: parseAsset(asset),
      })),
      moreArrived: arrived.length > MOST_LISTED,
      surplus: row.surplus === null ? null : toStroops(BigInt(row.surplus)),
      odd: (row.odd ?? []).map(({ reason, amount, asset }) => ({
        reason,
        amount: toStroops(BigInt(amount)),
        asset: parseAsset(asset),
      })),
    };
  });
}
