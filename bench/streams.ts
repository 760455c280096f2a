import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import type { AccountId, Credit } from "../src/stellar/credit.js";
import { appendEntries, NO_TAIL } from "../src/stream/append-entries.js";
import { ensureGroup } from "../src/stream/consumer-group.js";
import { entryKeyring } from "../src/stream/entry-keys.js";
import { GROUP, streamKey } from "../src/stream/stream-keys.js";

const APPEND_AT_ONCE = 200;

/** Appends credits to their accounts' streams, as ingest does. */
export async function fillStreams(
  dataSource: DataSource,
  redis: Redis,
  credits: readonly Credit[],
): Promise<void> {
  const key = await entryKeyring(dataSource).signing();
  for (const [account, own] of Map.groupBy(credits, (credit) => credit.account)) {
    await ensureGroup(redis, account);
    let tail = NO_TAIL;
    for (let i = 0; i < own.length; i += APPEND_AT_ONCE) {
      const answer = await appendEntries(redis, account, tail, own.slice(i, i + APPEND_AT_ONCE), { key });
      if (!answer.appended) throw new Error("somebody else appends to the benchmark's stream");
      tail = answer.tail;
    }
  }
}

/** Entries that are not yet acknowledged and deleted. */
export async function backlog(redis: Redis, accounts: readonly AccountId[]): Promise<number> {
  const lengths = await Promise.all(accounts.map((account) => redis.xlen(streamKey(account))));
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** Entries that consumers have read and not acknowledged. */
export async function inHand(redis: Redis, accounts: readonly AccountId[]): Promise<number> {
  const pending = await Promise.all(
    accounts.map((account) => redis.xpending(streamKey(account), GROUP) as Promise<[number]>),
  );
  return pending.reduce((sum, [count]) => sum + count, 0);
}
