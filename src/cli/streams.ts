import type { Command } from "commander";
import type { Redis } from "ioredis";
import { connectRedis } from "../consumers/redis-connections.js";
import { leaderKey, streamKey } from "../consumers/stream-keys.js";
import { createLogger } from "../logging.js";
import type { AccountId } from "../stellar/credit.js";
import { readEnvironment } from "./environment.js";
import { EXIT } from "./exit-codes.js";

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
  const config = await readEnvironment();
  const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "streams");
  const redis = connectRedis(config.REDIS_URL, "paidonce-streams", logger);
  try {
    const accounts = await accountsWithStreams(redis);
    for (const account of accounts) {
      const leader = await redis.get(leaderKey(account));
      if (leader === null) continue;
      process.stderr.write(
        `ingest leads ${account} (${leader}): stop every role first, or it writes down what the lost database had reached\n`,
      );
      return false;
    }
    for (const account of accounts) {
      const entries = await redis.xlen(streamKey(account));
      if (isSure) await redis.del(streamKey(account));
      process.stdout.write(`${account}: ${isSure ? "deleted" : "would delete"}, ${entries} entries\n`);
    }
    if (accounts.length === 0) process.stdout.write("there are no streams\n");
    else if (!isSure) process.stdout.write("nothing was deleted: run it with --yes\n");
    return true;
  } finally {
    redis.disconnect();
  }
}

/** Those that Redis has: an account whose row the database lost has a stream all the same. */
async function accountsWithStreams(redis: Redis): Promise<AccountId[]> {
  const [before = "", after = ""] = streamKey("*" as AccountId).split("*");
  const accounts = new Set<AccountId>();
  const pages = redis.scanStream({ match: streamKey("*" as AccountId), count: SCAN_COUNT });
  for await (const page of pages as AsyncIterable<string[]>) {
    for (const key of page) accounts.add(key.slice(before.length, -after.length) as AccountId);
  }
  return [...accounts].sort();
}
