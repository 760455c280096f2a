import type { EntityManager } from "typeorm";
import { StreamCursor } from "../entities/stream-cursor.js";
import { networkStreams } from "./network-streams.js";
import { streamsOf } from "./shards.js";
import type { StreamName } from "./stream-keys.js";

/**
 * The streams that hold the credits of watched accounts, in a stable order: those of the network's feed, and of each
 * account that is not in it.
 */
export async function watchedStreams(manager: EntityManager): Promise<StreamName[]> {
  const select = { account: true, shards: true } as const;
  const [feeds, cursors] = await Promise.all([
    manager.query<{ streams: number }[]>("SELECT streams FROM network_feed"),
    manager.find(StreamCursor, { select, where: { inNetwork: false }, order: { account: "ASC" } }),
  ]);
  return [
    ...feeds.flatMap(({ streams }) => networkStreams(streams)),
    ...cursors.flatMap(({ account, shards }) => streamsOf(account, shards)),
  ];
}
