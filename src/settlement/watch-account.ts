import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";

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
