import type { DataSource, EntityManager } from "typeorm";
import { HistoryHole, StreamCursor } from "../entities/stream-cursor.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { textArray } from "../postgres/strict-client.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";
import { type Obstacle, obstacleFor, type ReceivingState, roomFor } from "../stellar/payable.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

/**
 * Watches a receiving account from a ledger on. Sessions can exist only on watched accounts, so this
 * ledger is always at or before the one that pays the first of them: no start at "now" can skip a payment.
 *
 * @param newest the newest ledger that Horizon has; a server that lags names an older one, which is safe
 * @returns false if the account was watched already; its start is never moved
 */
export async function watchAccount(
  manager: EntityManager,
  account: AccountId,
  newest: LedgerSequence,
): Promise<boolean> {
  const start: OperationId = endOfLedger(newest);
  const inserted: unknown[] = await manager.query(
    `INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ($1, $2, $2)
     ON CONFLICT (account) DO NOTHING RETURNING account`,
    [account, start.toString()],
  );
  if (inserted.length === 0) return false;
  // Its first credits come sooner than the job that sees to partitions; a new database has none for these ledgers.
  await manager.query("SELECT prepare_partitions($1)", [start.toString()]);
  return true;
}

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

/** Its watermark is that of all that are read with it. */
export class ReadTogetherError extends Error {
  override readonly name = "ReadTogetherError";

  constructor(account: AccountId) {
    super(`${account} is read from the network's feed, together with others: accept the hole of \`network\``);
  }
}

/**
 * Moves an account's watermark over ledgers that no server has, because a person says so, and keeps that on
 * the record. Credits in the hole are not accounted for: this is the one way to lose them, and it has a name.
 *
 * @param elder the oldest ledger that the server still has
 * @returns the hole, or null when there is none
 * @throws EntityNotFoundError when the account is not watched
 * @throws ReadTogetherError when it has no hole of its own
 */
export async function acceptHole(
  dataSource: DataSource,
  account: AccountId,
  elder: LedgerSequence,
  reason: string,
): Promise<HistoryHole | null> {
  return inSerializableTransaction(dataSource, async ({ manager }) => {
    // Locked: of two at once the second would otherwise run into the first one's row, which is no conflict to retry.
    const lock = { mode: "pessimistic_write" } as const;
    const { watermark, inNetwork } = await manager.findOneOrFail(StreamCursor, { where: { account }, lock });
    if (inNetwork) throw new ReadTogetherError(account);
    const missingTo = endOfLedger((elder - 1) as LedgerSequence);
    if (watermark >= missingTo) return null;
    const hole = {
      account,
      missingFrom: (watermark + 1n) as OperationId,
      missingTo,
      reason,
      acceptedAt: new Date(),
    };
    await manager.insert(HistoryHole, hole);
    await manager.update(
      StreamCursor,
      { account },
      { watermark: missingTo, haltedBecause: null, haltedAt: null },
    );
    return hole;
  });
}

const OF_EACH = `
  INSERT INTO history_holes (account, missing_from, missing_to, reason)
  SELECT account, greatest(watermark, $1::bigint) + 1, $2::bigint, $3 FROM stream_cursors
  WHERE in_network AND watermark < $2::bigint`;

const PASS = `UPDATE network_feed SET watermark = $1::bigint, halted_because = NULL, halted_at = NULL`;

/**
 * The same for the network's feed: a hole of every account that is read from it.
 * @returns the hole, or null when there is none, or no such feed
 */
export async function acceptNetworkHole(
  dataSource: DataSource,
  elder: LedgerSequence,
  reason: string,
): Promise<Pick<HistoryHole, "missingFrom" | "missingTo"> | null> {
  return inSerializableTransaction(dataSource, async ({ manager }) => {
    const [feed]: { watermark: string }[] = await manager.query(
      "SELECT watermark FROM network_feed FOR UPDATE",
    );
    const missingTo = endOfLedger((elder - 1) as LedgerSequence);
    if (feed === undefined || BigInt(feed.watermark) >= missingTo) return null;
    await manager.query(OF_EACH, [feed.watermark, missingTo.toString(), reason]);
    await manager.query(PASS, [missingTo.toString()]);
    return { missingFrom: (BigInt(feed.watermark) + 1n) as OperationId, missingTo };
  });
}
