import type { EntityManager } from "typeorm";
import { StreamCursor } from "../entities/stream-cursor.js";
import { streamsOf } from "./shards.js";
import type { StreamName } from "./stream-keys.js";

/** The streams that hold the credits of watched accounts, in a stable order. */
export async function watchedStreams(manager: EntityManager): Promise<StreamName[]> {
  const select = { account: true, shards: true } as const;
  const cursors = await manager.find(StreamCursor, { select, order: { account: "ASC" } });
  return cursors.flatMap(({ account, shards }) => streamsOf(account, shards));
}
