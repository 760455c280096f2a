import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { settle } from "../settlement/settle.js";
import { parseOperationId } from "../stellar/operation-id.js";
import type { ClaimedDelivery } from "./consumer-group.js";
import { parseEntryId, type RawEntry } from "./entry.js";
import { deadLetterKey, GROUP, streamKey } from "./stream-keys.js";

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
  redis: Redis,
  dataSource: DataSource,
  delivery: ClaimedDelivery,
): Promise<{ buried: boolean; why: string }> {
  const { account, entry, deliveries } = delivery;
  const [id, fields] = entry;
  const why = `delivered ${deliveries} times and never settled`;
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
  const buried = settlement?.kind === "recorded";
  const moved = redis.multi();
  if (buried) moved.xadd(deadLetterKey(account), "*", "entry", id, "why", why, ...(fields ?? []));
  const key = streamKey(account);
  const results = await moved.xack(key, GROUP, id).xdel(key, id).exec();
  for (const [error] of results ?? []) if (error !== null) throw error;
  return { buried, why };
}

function keptRecord([, fields]: RawEntry): string {
  return JSON.stringify(fields ?? [])
    .replaceAll("\u0000", "\uFFFD")
    .slice(0, KEPT_CHARS);
}

/** Removes an entry from the dead letters: it was replayed, and Postgres has the rest. */
export async function exhume(
  redis: Redis,
  account: Parameters<typeof streamKey>[0],
  id: string,
): Promise<void> {
  parseOperationId(id.split("-")[0]);
  const key = deadLetterKey(account);
  const entries = await redis.xrange(key, "-", "+");
  const matching = entries.filter(([, fields]) => fields[0] === "entry" && fields[1] === id);
  if (matching.length > 0) await redis.xdel(key, ...matching.map(([deadId]) => deadId));
}
