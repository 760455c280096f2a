import type { Command } from "commander";
import type { Cluster, Redis } from "ioredis";
import type { EntityManager } from "typeorm";
import { readConfig } from "../config.js";
import { createLogger } from "../logging.js";
import { connectRedis, isCluster, type RedisClient } from "../redis/client.js";
import { isNoStreamError } from "../stream/consumer-group.js";
import { listEntryKeys, retireOlderKeys, rotateEntryKey } from "../stream/entry-keys.js";
import { leaderKey, type StreamName, streamKey, versionKey } from "../stream/stream-keys.js";
import { feedOf, isNetworkStream } from "../stream/streams.js";
import { withDatabase } from "./open-database.js";
import { redisTarget } from "./open-servers.js";
import { EXIT, print, printError } from "./print.js";

/** Keys that Redis looks through in one step. */
const SCAN_COUNT = 1_000;

export function addStreamsCommand(program: Command): void {
  program
    .command("streams")
    .description("the streams between ingest and the consumers")
    .command("reset")
    .description(
      "delete them all, so that ingest begins again where the database says: after Postgres went back in time",
    )
    .option("--yes", "do it; without this it only says what it would delete")
    .addHelpText(
      "after",
      `
For a database that was restored from a backup, or a standby that was promoted although it was behind: credits that
were settled in the time it lost are in no stream any more. Stop all roles before the database is used again, run
this, start them. Safe at any time: what is fetched twice is recognised.`,
    )
    .action(async (options: { yes?: boolean }) => {
      process.exitCode = (await reset(options.yes === true)) ? EXIT.ok : EXIT.failed;
    });
}

/** @returns whether nothing stood in the way */
async function reset(isSure: boolean): Promise<boolean> {
  const config = readConfig(process.env);
  const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "streams");
  await using closing = new AsyncDisposableStack();
  const redis = connectRedis(redisTarget(config), "paidonce-streams", logger);
  closing.defer(() => redis.disconnect());
  const streams = await streamsThere(redis);
  for (const feed of new Set(streams.map(feedOf))) {
    const leader = await redis.get(leaderKey(feed));
    if (leader === null) continue;
    await printError(
      `ingest leads ${feed} (${leader}): stop every role first, or it writes down what the lost database had reached`,
    );
    return false;
  }
  for (const stream of streams) {
    // A key that holds something else, whoever wrote it, is deleted too: it stands in the way of the stream.
    const entries = await redis.xlen(streamKey(stream)).catch((error: unknown) => {
      if (!isNoStreamError(error)) throw error;
      return 0;
    });
    if (isSure) await redis.del(streamKey(stream));
    // The database may give its number out again, for another set of accounts.
    if (isSure && isNetworkStream(stream)) await redis.del(versionKey(stream));
    await print(`${stream}: ${isSure ? "deleted" : "would delete"}, ${entries} entries`);
  }
  if (streams.length === 0) await print("there are no streams");
  else if (!isSure) await print("nothing was deleted: run it with --yes");
  return true;
}

/** Those that Redis has: an account whose row the database lost has a stream all the same. */
async function streamsThere(redis: RedisClient): Promise<StreamName[]> {
  const any = streamKey("*" as StreamName);
  const [before = "", after = ""] = any.split("*");
  const streams = new Set<StreamName>();
  for (const node of isCluster(redis) ? await mastersOf(redis) : [redis]) {
    const pages = node.scanStream({ match: any, count: SCAN_COUNT });
    for await (const page of pages as AsyncIterable<string[]>) {
      for (const key of page) streams.add(key.slice(before.length, -after.length) as StreamName);
    }
  }
  return [...streams].sort();
}

/** A cluster's client knows its nodes only once it has asked one of them. */
async function mastersOf(cluster: Cluster): Promise<Redis[]> {
  await cluster.ping();
  return cluster.nodes("master");
}

export function addEntryKeyCommand(program: Command): void {
  const keys = program
    .command("entry-key")
    .description("the keys that sign what ingest writes into Redis: nothing else there is ever settled");
  keys
    .command("list")
    .description("which keys there are; never their secrets")
    .action(() => onKeys(listEntryKeys, (all) => all.map(describe).join("\n")));
  keys
    .command("rotate")
    .description("sign with a new key from now on; entries that the older ones signed are still settled")
    .action(() =>
      onKeys(
        rotateEntryKey,
        (id) =>
          `key ${id} signs from now on, in every process within 5 s\nwhen the streams are empty: paidonce entry-key retire`,
      ),
    );
  keys
    .command("retire")
    .description("accept the newest key alone: what an older one signed is read from Horizon again")
    .action(() =>
      onKeys(retireOlderKeys, (ids) =>
        ids.length === 0 ? "there is no older key" : `retired: ${ids.join(", ")}`,
      ),
    );
}

async function onKeys<T>(
  work: (manager: EntityManager) => Promise<T>,
  show: (result: T) => string,
): Promise<void> {
  await withDatabase("entry-key", async ({ dataSource }) => {
    await print(show(await work(dataSource.manager)));
  });
}

function describe({ id, createdAt, retiredAt }: Awaited<ReturnType<typeof listEntryKeys>>[number]): string {
  const end = retiredAt === null ? "accepted" : `retired ${retiredAt.toISOString()}`;
  return `${id}  made ${createdAt.toISOString()}  ${end}`;
}
