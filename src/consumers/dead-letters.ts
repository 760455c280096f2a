import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { RedisClient } from "../redis/client.js";
import { settle } from "../settlement/settle.js";
import type { AccountId } from "../stellar/credit.js";
import { parseOperationId } from "../stellar/operation-id.js";
import { acknowledge, type ClaimedDelivery, type Delivery } from "../stream/consumer-group.js";
import { parseEntryId, type RawEntry } from "../stream/entry.js";
import { deadLetterKey } from "../stream/stream-keys.js";
import { isNetworkStream, ownerOf } from "../stream/streams.js";

/** How much of an entry is kept with its exception. */
const KEPT_CHARS = 64 * 1024;

/**
 * Takes an entry out of the way that was delivered too often without being settled: it becomes an
 * `unreadable` exception in Postgres first, and only then leaves the stream for the dead letters. A crash
 * between the two repeats it; nothing is lost.
 *
 * The entry is not parsed: parsing it may be what kills consumers.
 * @returns false if it turned out to be settled long ago, and was only never acknowledged
 */
export async function moveToDeadLetters(
  redis: RedisClient,
  dataSource: DataSource,
  delivery: ClaimedDelivery,
): Promise<{ moved: boolean; why: string }> {
  const { entry, deliveries } = delivery;
  const [id, fields] = entry;
  const why = `delivered ${deliveries} times and never settled`;
  const account = ownerOf(delivery);
  if (account === null) {
    await addDeadLetter(redis, delivery, why);
    return { moved: true, why };
  }
  const [settlement] = await settle(dataSource, [
    {
      kind: "unreadable",
      ...parseEntryId(id),
      account,
      transactionHash: null,
      why,
      record: keptRecord(entry),
    },
  ]);
  const moved = settlement?.kind === "recorded";
  if (moved) {
    await redis.xadd(deadLetterKey(account), "*", "entry", id, "why", why, ...(fields ?? []));
  }
  await acknowledge(redis, [delivery]);
  return { moved, why };
}

/**
 * Takes entries out of the way that name no account: an exception needs one, so they are kept under their stream, and
 * the status stays red while one of them is there. A crash in between keeps one twice.
 */
export async function deadLetterUnnamed(
  { redis, logger }: { readonly redis: RedisClient; readonly logger: Logger },
  deliveries: readonly Delivery[],
): Promise<void> {
  for (const delivery of deliveries) {
    const { stream, entry } = delivery;
    logger.error({ alarm: true, stream, entry: entry[0] }, "an entry names no account: kept for a person");
    await addDeadLetter(redis, delivery, "names no account");
  }
}

async function addDeadLetter(redis: RedisClient, delivery: Delivery, why: string): Promise<void> {
  const { stream, entry } = delivery;
  if (!isNetworkStream(stream)) throw new Error(`${stream} names its account`);
  await redis.xadd(deadLetterKey(stream), "*", "entry", entry[0], "why", why, ...(entry[1] ?? []));
  await acknowledge(redis, [delivery]);
}

function keptRecord([, fields]: RawEntry): string {
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
