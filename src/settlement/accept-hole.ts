import type { DataSource } from "typeorm";
import { HistoryHole } from "../entities/history-hole.js";
import { StreamCursor } from "../entities/stream-cursor.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";

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
