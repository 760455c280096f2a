import type { DataSource } from "typeorm";
import { HistoryHole } from "../entities/history-hole.js";
import { inSerializableTransaction } from "../entities/serializable.js";
import { StreamCursor } from "../entities/stream-cursor.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";

/**
 * Moves an account's watermark over ledgers that no server has, because a person says so, and keeps that on
 * the record. Credits in the hole are not accounted for: this is the one way to lose them, and it has a name.
 *
 * @param elder the oldest ledger that the server still has
 * @returns the hole, or null when there is none
 * @throws EntityNotFoundError when the account is not watched
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
    const { watermark } = await manager.findOneOrFail(StreamCursor, { where: { account }, lock });
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
