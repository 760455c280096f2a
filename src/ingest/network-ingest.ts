import { readNetworkPage } from "../horizon/read-page.js";
import { claimStream } from "../stream/claim-stream.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { networkStreamFor, networkStreams } from "../stream/network-streams.js";
import { NETWORK } from "../stream/stream-keys.js";
import type { Bell } from "./bell.js";
import { type Feed, type IngestParts, ingestFeed, resumeAfter, type Standing } from "./feed-ingest.js";
import { advanceNetwork, haltNetwork, readNetworkSet } from "./network-cursor.js";
import { passVersion } from "./network-members.js";
import type { NetworkSizes } from "./network-mode.js";
import { provenTails } from "./prove-tail.js";

/**
 * Leads the ingest of all accounts that are in the network's feed: the same as for one account, but that each record is
 * looked up in the set, and that the streams must be claimed for it.
 *
 * Returns when `signal` aborts, or nobody is in the feed any more.
 * @param sizes learns what the pages carry
 */
export async function ingestNetwork(
  parts: IngestParts,
  sizes: NetworkSizes,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const feed: Feed = {
    name: NETWORK,
    resume: () => resume(parts, sizes),
    halt: (why) => haltNetwork(parts.dataSource, why),
  };
  await ingestFeed(parts, feed, bell, signal);
}

async function resume(parts: IngestParts, sizes: NetworkSizes): Promise<Standing | null> {
  const { redis, dataSource, horizon } = parts;
  for (;;) {
    const set = await readNetworkSet(dataSource);
    if (set === null) return null;
    const { watermark, version, streams } = set.cursor;
    const tails = await claimAll(parts, version, streams);
    // Out of date: somebody has joined since, and another leader knows already.
    if (tails === null) continue;
    return {
      cursor: resumeAfter(tails.values(), watermark),
      tails,
      lanes: {
        feed: NETWORK,
        streamOf: networkStreamFor,
        marked: true,
        version: version.toString(),
        keyring: entryKeyring(dataSource),
      },
      read: async (after, limit, signal) => {
        const page = await readNetworkPage(horizon, set.watched, after, limit, signal);
        sizes.learn(page.carried);
        return page;
      },
      advance: (now, scanned) => advanceNetwork(redis, dataSource, version, now, scanned),
    };
  }
}

/** @returns the tails of all streams; null where one of them is of a newer set */
async function claimAll(parts: IngestParts, version: bigint, count: number) {
  const { redis, dataSource } = parts;
  const claims = await Promise.all(
    networkStreams(count).map(async (stream) => ({
      stream,
      claim: await claimStream(redis, stream, version),
    })),
  );
  const newer = claims.flatMap(({ claim }) => (claim.kind === "newer" ? [claim.version] : []));
  if (newer.length > 0) {
    const newest = newer.reduce((a, b) => (a > b ? a : b));
    await passVersion(dataSource, version, newest);
    return null;
  }
  return provenTails(parts, networkStreams(count));
}
