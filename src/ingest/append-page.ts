import type { RedisClient } from "../redis/client.js";
import { compareKeys, type NetworkMovement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { appendEntries, NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import type { EntryKeyring } from "../stream/entry-keys.js";
import type { FeedName, StreamName } from "../stream/stream-keys.js";
import { inSpan } from "../tracing.js";

/** Where each stream of a feed ends, as its leader believes. */
export type Tails = ReadonlyMap<StreamName, Tail>;

/** What a page of a feed holds for its streams, in the network's order. */
export type FedPage = {
  readonly movements: readonly NetworkMovement[];
  readonly cursor: OperationId;
};

/** How a feed is spread over its streams. */
export type Lanes = {
  readonly feed: FeedName;
  readonly streamOf: (movement: NetworkMovement, streams: readonly StreamName[]) => StreamName;
  /** Whether each stream says how far its feed was read, also where there was nothing for it. */
  readonly marked: boolean;
  /** Of the set of accounts, for the network's streams. */
  readonly version?: string;
  /** Signs what goes into the streams. */
  readonly keyring: EntryKeyring;
};

/**
 * Appends what a page has brought to the feed's streams, each by its own tail.
 * @param tails of all the feed's streams
 * @param onAppend how many entries are on their way
 * @returns the tails now; null where one of the streams ends elsewhere: then nobody knows what it has, and the leader
 *   must begin again from what the streams say
 */
export async function appendPage(
  redis: RedisClient,
  lanes: Lanes,
  tails: Tails,
  { movements, cursor }: FedPage,
  onAppend: (entries: number) => void | Promise<void>,
): Promise<{ tails: Tails; entries: number } | null> {
  const streams = [...tails.keys()];
  const routed = Map.groupBy(movements, (movement) => lanes.streamOf(movement, streams));
  const batches = [...tails].flatMap(([stream, tail]) => {
    const batch = batchFor(tail, routed.get(stream) ?? [], lanes.marked ? cursor : null);
    return batch === null ? [] : [{ stream, tail, ...batch }];
  });
  if (batches.length === 0) return { tails, entries: 0 };
  const entries = batches.reduce((sum, { fresh }) => sum + fresh.length, 0);
  if (entries > 0) await onAppend(entries);
  const facts = { account: lanes.feed, streams: batches.length, entries };
  const { version } = lanes;
  const key = await lanes.keyring.signing();
  const answers = await inSpan("ingest append", { kind: "producer", facts }, ({ parent: traceParent }) =>
    Promise.all(
      batches.map(async ({ stream, tail, fresh, readThrough }) => {
        const options = { key, traceParent, readThrough, ...(version !== undefined && { version }) };
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
