import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { RedisClient } from "../redis/client.js";
import { settle } from "../settlement/settle.js";
import type { AccountId } from "../stellar/credit.js";
import { parseOperationId } from "../stellar/operation-id.js";
import { acknowledge, type ClaimedEntry } from "../stream/consumer-group.js";
import { ownerOf, parseEntryId, type RawEntry } from "../stream/entry.js";
import { deadLetterKey, type NetworkStream } from "../stream/stream-keys.js";

/** How much of an entry is kept with its exception. */
const KEPT_CHARS = 64 * 1024;

/**
 * Moves an entry that was delivered too often without being settled: it becomes an `unreadable` exception in Postgres
 * first, and only then leaves the stream for the dead letters. A crash between the two repeats it; nothing is lost.
 *
 * The entry is not decoded: decoding it may be what kills consumers.
 * @returns false if it turned out to be settled long ago, and was only never acknowledged
 */
export async function moveToDeadLetters(
  redis: RedisClient,
  dataSource: DataSource,
  entry: ClaimedEntry,
): Promise<{ moved: boolean; why: string }> {
  const why = `delivered ${entry.deliveries} times and never settled`;
  const account = ownerOf(entry);
  if (account === null) {
    await deadLetter(redis, entry, why);
    return { moved: true, why };
  }
  const [settlement] = await settle(dataSource, [
    {
      kind: "unreadable",
      ...parseEntryId(entry.id),
      account,
      transactionHash: null,
      why,
      record: keptRecord(entry),
    },
  ]);
  const moved = settlement?.kind === "recorded";
  if (moved) await deadLetter(redis, entry, why);
  else await acknowledge(redis, [entry]);
  return { moved, why };
}

/**
 * Moves entries that name no account: an exception needs one, so they are kept under their stream, and the status stays
 * red while one of them is there. A crash in between keeps one twice.
 */
export async function deadLetterUnnamed(
  { redis, logger }: { readonly redis: RedisClient; readonly logger: Logger },
  entries: readonly RawEntry[],
): Promise<void> {
  for (const entry of entries) {
    const { stream, id } = entry;
    logger.error({ alarm: true, stream, entry: id }, "an entry names no account: kept for a person");
    await deadLetter(redis, entry, "names no account");
  }
}

/** Under the entry's account, else under its stream, which is then one of the network's. */
async function deadLetter(redis: RedisClient, entry: RawEntry, why: string): Promise<void> {
  const { stream, id, fields } = entry;
  const owner = ownerOf(entry) ?? (stream as NetworkStream);
  await redis.xadd(deadLetterKey(owner), "*", "entry", id, "why", why, ...(fields ?? []));
  await acknowledge(redis, [entry]);
}

function keptRecord({ fields }: RawEntry): string {
  return JSON.stringify(fields ?? [])
    .replaceAll("\u0000", "\uFFFD")
    .slice(0, KEPT_CHARS);
}

/** Removes an entry from the dead letters: it was replayed, and Postgres has the rest. */
export async function removeDeadLetter(redis: RedisClient, account: AccountId, id: string): Promise<void> {
  parseOperationId(id.split("-")[0]);
  const key = deadLetterKey(account);
  const entries = await redis.xrange(key, "-", "+");
  const matching = entries.filter(([, fields]) => fields[0] === "entry" && fields[1] === id);
  if (matching.length > 0) await redis.xdel(key, ...matching.map(([deadId]) => deadId));
}
