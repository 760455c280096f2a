import type { EntityManager } from "typeorm";
import { LEAST } from "../settlement/receiving-states.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { OBSTACLES, type Obstacle, remedyFor } from "../stellar/payable.js";
import type { Unpayable } from "./status.js";

/** Named in the status; the rest are counted. */
const MOST_NAMED = 10;

/** Served by the partial index over what is in the way. An asset that the account takes no more is nobody's matter. */
const IN_THE_WAY = `
  FROM receiving_states s JOIN receiving_accounts a USING (account)
  WHERE s.obstacle IS NOT NULL AND s.asset = ANY (a.assets)`;

const LONGEST = `
  SELECT s.account, s.asset, s.obstacle, s.since ${IN_THE_WAY}
  ORDER BY s.since, s.account, s.asset LIMIT ${MOST_NAMED}`;

const COUNTS = `SELECT s.obstacle, count(*)::int AS count ${IN_THE_WAY} GROUP BY s.obstacle`;

type Row = { account: string; asset: string; obstacle: string; since: Date };

/** Receiving accounts and assets in which nothing can arrive, as the network said when it was asked last. */
export async function readUnpayable(manager: EntityManager): Promise<Unpayable> {
  const rows: Row[] = await manager.query(LONGEST);
  const counts: { obstacle: Obstacle; count: number }[] = await manager.query(COUNTS);
  const counted = new Map(counts.map(({ obstacle, count }) => [obstacle, count]));
  const countOf = (obstacle: Obstacle) => [obstacle, counted.get(obstacle) ?? 0] as const;
  return {
    count: counts.reduce((sum, { count }) => sum + count, 0),
    by_obstacle: Object.fromEntries(OBSTACLES.map(countOf)) as Unpayable["by_obstacle"],
    longest: rows.map(({ account, asset, obstacle, since }) => ({
      account,
      asset,
      obstacle,
      since: since.toISOString(),
    })),
  };
}

/** A line for each that is named, with what to do. Pure. */
export function* unpayableProblems(unpayable: Unpayable | null): Generator<string> {
  if (unpayable === null) return;
  for (const { account, asset, obstacle, since } of unpayable.longest) {
    const payee = { account: account as AccountId, asset: asset as Asset, amount: LEAST };
    yield `Nobody can pay ${account} in ${asset} (since ${since}). ${remedyFor(obstacle as Obstacle, payee)} Nothing is lost: the checkout page asks nobody to pay meanwhile.`;
  }
  const more = unpayable.count - unpayable.longest.length;
  if (more > 0) yield `${more} more accounts and assets can't be paid.`;
}
