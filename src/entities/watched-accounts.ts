import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";

/** The accounts whose credits count, in a stable order. */
export function watchedAccounts(manager: EntityManager): Promise<AccountId[]> {
  return accountsIn(manager, "SELECT account FROM stream_cursors ORDER BY account");
}

/** Those of them that are read one by one, not from the network's feed, in a stable order. */
export function accountsByThemselves(manager: EntityManager): Promise<AccountId[]> {
  return accountsIn(manager, "SELECT account FROM stream_cursors WHERE NOT in_network ORDER BY account");
}

/** Plain rows: there may be a hundred thousand, and this is asked every two seconds. */
async function accountsIn(manager: EntityManager, query: string): Promise<AccountId[]> {
  const rows: { account: AccountId }[] = await manager.query(query);
  return rows.map(({ account }) => account);
}
