import type { EntityManager } from "typeorm";
import { EXCEPTION_REASONS, type ExceptionReason } from "../entities/payment-exception.js";
import type { Asset } from "../stellar/asset.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import type { OpenExceptions, RefundsOwed } from "./status.js";

/** Of `exceptions_open` alone, which holds nothing else. */
export const OPEN = `
  SELECT reason, count(*)::int AS open, extract(epoch FROM now() - min(raised_at)) AS oldest
  FROM payment_exceptions WHERE NOT decided GROUP BY reason`;

/** Anybody can pay in an asset of their own: the list of them needs an end. */
const MOST_ASSETS = 20;

/** Of `verdicts_refund_owed` alone. The sum can be more than an int64, and is text. */
export const OWED = `
  SELECT owed_asset AS asset, count(*)::int AS refunds, coalesce(sum(owed_amount), 0)::text AS amount,
         (sum(count(*)) OVER ())::int AS all_refunds, (count(*) OVER ())::int AS all_assets
  FROM exception_verdicts WHERE owed_asset IS NOT NULL
  GROUP BY owed_asset ORDER BY count(*) DESC, owed_asset LIMIT ${MOST_ASSETS}`;

type OpenRow = { reason: ExceptionReason; open: number; oldest: string };

type OwedRow = { asset: Asset; refunds: number; amount: string; all_refunds: number; all_assets: number };

/** Counts the exceptions that wait for a verdict, every merchant's. */
export async function readOpenExceptions(manager: EntityManager): Promise<OpenExceptions> {
  const rows: OpenRow[] = await manager.query(OPEN);
  const byReason = Object.fromEntries(
    EXCEPTION_REASONS.map((reason) => {
      const row = rows.find((each) => each.reason === reason);
      const oldest = row === undefined ? null : Math.max(0, Math.round(Number(row.oldest)));
      return [reason, { open: row?.open ?? 0, oldest_seconds: oldest }];
    }),
  ) as OpenExceptions["by_reason"];
  const all = Object.values(byReason);
  const ages = all.flatMap(({ oldest_seconds: oldest }) => oldest ?? []);
  return {
    open: all.reduce((sum, { open }) => sum + open, 0),
    oldest_seconds: ages.length === 0 ? null : Math.max(...ages),
    by_reason: byReason,
  };
}

/** Sums what verdicts say is owed, every merchant's. */
export async function readRefundsOwed(manager: EntityManager): Promise<RefundsOwed> {
  const rows: OwedRow[] = await manager.query(OWED);
  return {
    refunds: rows[0]?.all_refunds ?? 0,
    by_asset: rows.map(({ asset, refunds, amount }) => ({
      asset,
      refunds,
      amount: formatStroops(BigInt(amount) as Stroops),
    })),
    more_assets: (rows[0]?.all_assets ?? 0) - rows.length,
  };
}
