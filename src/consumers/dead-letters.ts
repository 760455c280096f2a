import type { DataSource } from "typeorm";
import type { RedisClient } from "../redis/client.js";
import { settle } from "../settlement/settle.js";
import type { AccountId } from "../stellar/credit.js";
import { parseOperationId } from "../stellar/operation-id.js";
import { acknowledge, type ClaimedDelivery } from "./consumer-group.js";
import { parseEntryId, type RawEntry } from "./entry.js";
import { accountOf } from "./shards.js";
import { deadLetterKey } from "./stream-keys.js";

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
export async function bury(
  redis: RedisClient,
  dataSource: DataSource,
  delivery: ClaimedDelivery,
): Promise<{ buried: boolean; why: string }> {
  const { stream, entry, deliveries } = delivery;
  const [id, fields] = entry;
  const why = `delivered ${deliveries} times and never settled`;
  const [settlement] = await settle(dataSource, [
    {
      kind: "unreadable",
      ...parseEntryId(id),
      account: accountOf(stream),
      transactionHash: null,
      why,
      record: keptRecord(entry),
    },
  ]);
  const buried = settlement?.kind === "recorded";
  if (buried) {
    await redis.xadd(deadLetterKey(accountOf(stream)), "*", "entry", id, "why", why, ...(fields ?? []));
  }
  await acknowledge(redis, [delivery]);
  return { buried, why };
}

function keptRecord([, fields]: RawEntry): string {
  return JSON.stringify(fields ?? [])
    .replaceAll("\u0000", "\uFFFD")
    .slice(0, KEPT_CHARS);
}

/** Removes an entry from the dead letters: it was replayed, and Postgres has the rest. */
export async function exhume(redis: RedisClient, account: AccountId, id: string): Promise<void> {
  parseOperationId(id.split("-")[0]);
  const key = deadLetterKey(account);
  const entries = await redis.xrange(key, "-", "+");
  const matching = entries.filter(([, fields]) => fields[0] === "entry" && fields[1] === id);
  if (matching.length > 0) await redis.xdel(key, ...matching.map(([deadId]) => deadId));
}
