import type { EntityManager } from "typeorm";
import { textArray } from "../postgres/strict-client.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type Obstacle, obstacleFor, type ReceivingState, roomFor } from "../stellar/payable.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

/** The smallest payment: what keeps this one out keeps out every other. */
export const LEAST = toStroops(1n);

const RECORD = `
  INSERT INTO receiving_states (account, asset, obstacle, room)
  SELECT a.account, s.* FROM unnest($2::text[], $3::text[], $4::text[]::bigint[]) AS s (asset, obstacle, room)
  JOIN receiving_accounts a ON a.account = $1
  ON CONFLICT (account, asset) DO UPDATE SET
    obstacle = excluded.obstacle, room = excluded.room, checked_at = now(),
    since = CASE WHEN receiving_states.obstacle IS DISTINCT FROM excluded.obstacle THEN now()
                 ELSE receiving_states.since END`;

/**
 * Keeps what the network said of a receiving account, for each of these assets. Does nothing for one that is not
 * registered.
 */
export async function recordReceivingState(
  manager: EntityManager,
  account: AccountId,
  assets: readonly Asset[],
  state: ReceivingState,
): Promise<readonly Obstacle[]> {
  const obstacles = assets.map((asset) => obstacleFor({ account, asset, amount: LEAST }, state));
  await manager.query(RECORD, [
    account,
    textArray(assets),
    textArray(obstacles),
    textArray(assets.map((asset) => roomFor(account, asset, state).toString())),
  ]);
  return obstacles.filter((obstacle) => obstacle !== null);
}

/** The stored answer for an account and an asset; null where the network was never asked. */
export type KeptState = { readonly obstacle: Obstacle | null; readonly room: Stroops };

/**
 * Whether a payment would arrive by what was kept. Pure.
 * @returns null when it would, or when nothing is known
 */
export function keptObstacle(kept: KeptState | null, amount: Stroops): Obstacle | null {
  if (kept === null) return null;
  return kept.obstacle ?? (amount > kept.room ? "limit_reached" : null);
}
