import { readPage } from "../horizon/read-page.js";
import type { AccountId } from "../stellar/credit.js";
import { keepStreams } from "../stream/claim-stream.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { streamFor, streamsOf } from "../stream/shards.js";
import type { Bell } from "./bell.js";
import { removeFormer } from "./change-shards.js";
import { type Feed, type IngestParts, ingestFeed, resumeAfter, type Standing } from "./feed-ingest.js";
import { provenTails } from "./prove-tail.js";
import { advanceWatermark, haltAccount, readCursor } from "./watermark.js";

/** Leads the ingest of one account, from its own feed. Returns when `signal` aborts, or it is in the network's. */
export async function ingestAccount(
  parts: IngestParts,
  account: AccountId,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const feed: Feed = {
    name: account,
    resume: () => resume(parts, account),
    halt: (why) => haltAccount(parts.dataSource, account, why),
  };
  await ingestFeed(parts, feed, bell, signal);
}

async function resume(parts: IngestParts, account: AccountId): Promise<Standing | null> {
  const { redis, dataSource, horizon } = parts;
  const { watermark, shards, formerShards, inNetwork } = await readCursor(dataSource.manager, account);
  if (inNetwork) return null;
  await keepStreams(redis, streamsOf(account, shards));
  const tails = await provenTails(parts, streamsOf(account, shards));
  return {
    cursor: resumeAfter(tails.values(), watermark),
    tails,
    lanes: { feed: account, streamOf: streamFor, marked: shards > 1, keyring: entryKeyring(dataSource) },
    read: (after, limit, signal) => readPage(horizon, account, after, limit, signal),
    advance: (now, scanned) => advanceWatermark(redis, dataSource, account, now, scanned),
    caughtUp: async () => {
      if (formerShards !== null) await removeFormer(redis, dataSource, account, formerShards);
    },
  };
}
