import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { networkStreams } from "./network-streams.js";
import { streamsOf } from "./shards.js";
import type { StreamName } from "./stream-keys.js";

const FEED = "SELECT streams FROM network_feed";

const BY_THEMSELVES = "SELECT account, shards FROM stream_cursors WHERE NOT in_network ORDER BY account";

/**
 * The streams that hold the credits of watched accounts, in a stable order: those of the network's feed, and of each
 * account that is not in it.
 */
export async function watchedStreams(manager: EntityManager): Promise<StreamName[]> {
  const [feeds, cursors]: [{ streams: number }[], { account: AccountId; shards: number }[]] =
    await Promise.all([manager.query(FEED), manager.query(BY_THEMSELVES)]);
  return [
    ...feeds.flatMap(({ streams }) => networkStreams(streams)),
    ...cursors.flatMap(({ account, shards }) => streamsOf(account, shards)),
  ];
}
