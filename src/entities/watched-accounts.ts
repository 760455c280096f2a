import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { StreamCursor } from "./stream-cursor.js";

/** The accounts whose credits count, in a stable order. */
export async function watchedAccounts(manager: EntityManager): Promise<AccountId[]> {
  const cursors = await manager.find(StreamCursor, { select: { account: true }, order: { account: "ASC" } });
  return cursors.map((cursor) => cursor.account);
}
