import type { DataSource } from "typeorm";
import { checkpoint } from "../checkpoints.js";
import type { RedisClient } from "../redis/client.js";
import { compareKeys, type NetworkMovement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { appendEntries, NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import { entryKeyring } from "../stream/entry-keys.js";
import { inSpan } from "../tracing.js";
import type { Feed, FeedPage } from "./feed.js";
import type { Tails } from "./watermark.js";

/**
 * Appends what a page has brought to the feed's streams, each by its own tail.
 * @param tails of all the feed's streams
 * @returns the tails now; null where one of the streams ends elsewhere: then nobody knows what it has, and the leader
 *   must begin again from what the streams say
 */
export async function appendPage(
  { redis, dataSource }: { readonly redis: RedisClient; readonly dataSource: DataSource },
  feed: Feed,
  tails: Tails,
  { movements, cursor }: FeedPage,
): Promise<{ tails: Tails; entries: number } | null> {
  const streams = [...tails.keys()];
  const routed = Map.groupBy(movements, (movement) => feed.streamFor(movement, streams));
  const batches = [...tails].flatMap(([stream, tail]) => {
    const batch = batchFor(tail, routed.get(stream) ?? [], feed.marksStreams ? cursor : null);
    return batch === null ? [] : [{ stream, tail, ...batch }];
  });
  if (batches.length === 0) return { tails, entries: 0 };
  const entries = batches.reduce((sum, { fresh }) => sum + fresh.length, 0);
  if (entries > 0) await checkpoint("ingest.before-append");
  const facts = { account: feed.name, streams: batches.length, entries };
  const { version } = feed;
  const key = await entryKeyring(dataSource).signing();
  const answers = await inSpan("ingest append", { kind: "producer", facts }, ({ parent: traceParent }) =>
    Promise.all(
      batches.map(async ({ stream, tail, fresh, readThrough }) => {
        const options = { key, traceParent, readThrough, ...(version !== null && { version }) };
        return { stream, ...(await appendEntries(redis, stream, tail, fresh, options)) };
      }),
    ),
  );
  if (!answers.every(({ appended }) => appended)) return null;
  return {
    tails: new Map([...tails, ...answers.map(({ stream, tail }) => [stream, tail] as const)]),
    entries,
  };
}

/**
 * What of a page is new to a stream.
 * @param cursor the page's, where streams are marked as read up to it
 * @returns null where there is nothing to say
 */
function batchFor(
  tail: Tail,
  movements: readonly NetworkMovement[],
  cursor: OperationId | null,
): { fresh: readonly NetworkMovement[]; readThrough: OperationId | null } | null {
  const known = tail === NO_TAIL ? null : parseEntryId(tail);
  const fresh = known === null ? movements : movements.filter((movement) => compareKeys(movement, known) > 0);
  // Never back: a page that was read again for another stream must not make this one forget what it has.
  const isNews = cursor !== null && (known === null || cursor > known.operationId);
  const readThrough = isNews || fresh.length > 0 ? cursor : null;
  return fresh.length === 0 && readThrough === null ? null : { fresh, readThrough };
}
