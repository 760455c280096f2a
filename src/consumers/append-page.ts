import type { ReadPage } from "../horizon/read-page.js";
import type { RedisClient } from "../redis/client.js";
import { compareKeys, type Movement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { inSpan } from "../tracing.js";
import { appendEntries, NO_TAIL, type Tail } from "./append-entries.js";
import { parseEntryId } from "./entry.js";
import { accountOf, streamFor } from "./shards.js";
import type { StreamName } from "./stream-keys.js";

/** Where each stream of an account ends, as its leader believes. */
export type Tails = ReadonlyMap<StreamName, Tail>;

/**
 * Appends what a page has brought to the account's streams, each by its own tail.
 * @param tails of all the account's streams
 * @param onAppend how many entries are on their way
 * @returns the tails now; null where one of the streams ends elsewhere: then nobody knows what it has, and the leader
 *   must begin again from what the streams say
 */
export async function appendPage(
  redis: RedisClient,
  tails: Tails,
  { movements, cursor }: Pick<ReadPage, "movements" | "cursor">,
  onAppend: (entries: number) => void | Promise<void>,
): Promise<{ tails: Tails; entries: number } | null> {
  const streams = [...tails.keys()];
  const routed = Map.groupBy(movements, (movement) => streamFor(movement, streams));
  const [first] = streams;
  const batches = [...tails].flatMap(([stream, tail]) => {
    const batch = batchFor(tail, routed.get(stream) ?? [], streams.length > 1 ? cursor : null);
    return batch === null ? [] : [{ stream, tail, ...batch }];
  });
  if (first === undefined || batches.length === 0) return { tails, entries: 0 };
  const entries = batches.reduce((sum, { fresh }) => sum + fresh.length, 0);
  if (entries > 0) await onAppend(entries);
  const facts = { account: accountOf(first), streams: batches.length, entries };
  const answers = await inSpan("ingest append", { kind: "producer", facts }, ({ parent }) =>
    Promise.all(
      batches.map(async ({ stream, tail, fresh, readThrough }) => {
        const answer = await appendEntries(redis, stream, tail, fresh, parent, readThrough);
        return { stream, ...answer };
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
  movements: readonly Movement[],
  cursor: OperationId | null,
): { fresh: readonly Movement[]; readThrough: OperationId | null } | null {
  const known = tail === NO_TAIL ? null : parseEntryId(tail);
  const fresh = known === null ? movements : movements.filter((movement) => compareKeys(movement, known) > 0);
  // Never back: a page that was read again for another stream must not make this one forget what it has.
  const isNews = cursor !== null && (known === null || cursor > known.operationId);
  const readThrough = isNews || fresh.length > 0 ? cursor : null;
  return fresh.length === 0 && readThrough === null ? null : { fresh, readThrough };
}
