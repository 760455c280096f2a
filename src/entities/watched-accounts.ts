import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { StreamCursor } from "./stream-cursor.js";

/** Those of them that are read one by one, not from the network's feed, in a stable order. */
export async function accountsByThemselves(manager: EntityManager): Promise<AccountId[]> {
  const where = { inNetwork: false };
  const cursors = await manager.find(StreamCursor, {
    select: { account: true },
    where,
    order: { account: "ASC" },
  });
  return cursors.map((cursor) => cursor.account);
}

/** The accounts whose credits count, in a stable order. */
export async function watchedAccounts(manager: EntityManager): Promise<AccountId[]> {
  const cursors = await manager.find(StreamCursor, { select: { account: true }, order: { account: "ASC" } });
  return cursors.map((cursor) => cursor.account);
}
