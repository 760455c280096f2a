import type { EntityManager } from "typeorm";
import { EXCEPTION_REASONS, type ExceptionReason } from "../entities/credit.js";
import type { Asset } from "../stellar/asset.js";
import { OBSTACLES, type Obstacle } from "../stellar/payable.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import type { Charges, OpenExceptions, OutsidePayments, RefundsOwed, Unpayable } from "./status.js";

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

type ChargesRow = {
  pending: string;
  processing: string;
  unknown: string;
  due: string | null;
  oldest_unknown: string | null;
};

/** Counts the charges that have not ended, every merchant's. */
export async function readOpenCharges(manager: EntityManager): Promise<Charges> {
  const [row]: ChargesRow[] = await manager.query(CHARGES);
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
      return [reason, { open: row?.open ?? 0, oldest_seconds: secondsOf(row?.oldest) }];
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

/** Of `findings_open_once`, which holds open findings alone. */
const OUTSIDE = `
  SELECT count(*)::int AS open, extract(epoch FROM now() - min(found_at)) AS oldest
  FROM recovery_findings WHERE kind = 'outside_payment' AND closed_at IS NULL`;

/** Counts what arrived outside /payments and no person has dealt with. */
export async function readOutsidePayments(manager: EntityManager): Promise<OutsidePayments> {
  const [row]: { open: number; oldest: string | null }[] = await manager.query(OUTSIDE);
  return { open: row?.open ?? 0, oldest_seconds: secondsOf(row?.oldest) };
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

/** Named in the status; the rest are counted. */
const MOST_NAMED = 10;

/** Served by the partial index over what is in the way. An asset that the account takes no more is nobody's matter. */
const IN_THE_WAY = `
  FROM receiving_states s JOIN receiving_accounts a USING (account)
  WHERE s.obstacle IS NOT NULL AND s.asset = ANY (a.assets)`;

const LONGEST_UNPAYABLE = `
  SELECT s.account, s.asset, s.obstacle, s.since ${IN_THE_WAY}
  ORDER BY s.since, s.account, s.asset LIMIT ${MOST_NAMED}`;

const BY_OBSTACLE = `SELECT s.obstacle, count(*)::int AS count ${IN_THE_WAY} GROUP BY s.obstacle`;

type UnpayableRow = { account: string; asset: string; obstacle: string; since: Date };

/** Receiving accounts and assets in which nothing can arrive, as the network said when it was asked last. */
export async function readUnpayable(manager: EntityManager): Promise<Unpayable> {
  const rows: UnpayableRow[] = await manager.query(LONGEST_UNPAYABLE);
  const counts: { obstacle: Obstacle; count: number }[] = await manager.query(BY_OBSTACLE);
  const counted = new Map(counts.map(({ obstacle, count }) => [obstacle, count]));
  const countOf = (obstacle: Obstacle) => [obstacle, counted.get(obstacle) ?? 0] as const;
  return {
    count: counts.reduce((sum, { count }) => sum + count, 0),
    by_obstacle: Object.fromEntries(OBSTACLES.map(countOf)) as Unpayable["by_obstacle"],
    longest: rows.map(({ since, ...rest }) => ({ ...rest, since: since.toISOString() })),
  };
}

/** Whole seconds, as the database counts them: nothing is younger than now. */
export function secondsOf(value: unknown): number | null {
  return value === null || value === undefined ? null : Math.max(0, Math.round(Number(value)));
}
