import { Argument, type Command, InvalidArgumentError } from "commander";
import { readConfig } from "../config.js";
import { changeShards, MOST_SHARDS } from "../ingest/account-feed.js";
import { readCursor } from "../ingest/watermark.js";
import { parseAccountId } from "../stellar/account.js";
import type { AccountId } from "../stellar/credit.js";
import { EXIT } from "./exit-codes.js";
import { openDatabaseNow } from "./open-database.js";
import { print } from "./print.js";

export function addShardsCommand(program: Command): void {
  program
    .command("shards")
    .description(
      "into how many streams an account's credits are spread, by hash of the memo; change it at any time",
    )
    .addArgument(new Argument("<account>", "a G… account").argParser(parseAccountId))
    .addArgument(new Argument("[number]", `1 to ${MOST_SHARDS}`).argParser(parseNumber))
    .addHelpText(
      "after",
      `
Nothing is lost and nothing counts twice, whenever it is done: ingest begins the new streams at the watermark.
All processes must be of a version that knows this command. One stream settles thousands of credits per second;
docs/capacity.md says when more are worth it.`,
    )
    .action(async (account: AccountId, number: number | undefined) => {
      const dataSource = await openDatabaseNow(readConfig(process.env), "cli");
      try {
        if (number === undefined) {
          const { shards } = await readCursor(dataSource.manager, account);
          await print(`${account} has ${streams(shards)}`);
          return;
        }
        const change = await changeShards(dataSource, account, number);
        if (change.kind === "not_watched" || change.kind === "under_way") process.exitCode = EXIT.failed;
        await print(`${account} ${words(change, number)}`);
      } finally {
        await dataSource.destroy();
      }
    });
}

function words(change: Awaited<ReturnType<typeof changeShards>>, number: number): string {
  switch (change.kind) {
    case "changed":
      return `goes from ${streams(change.from)} to ${streams(number)}; ingest and consumers follow within seconds`;
    case "as_it_was":
      return `has ${streams(number)} already`;
    case "not_watched":
      return "is not watched: `paidonce watch` first";
    case "under_way":
      return `is still on its way from ${streams(change.former)}: ingest must run and reach Horizon; then try again`;
  }
}

function streams(count: number): string {
  return count === 1 ? "one stream" : `${count} streams`;
}

function parseNumber(text: string): number {
  const number = Number(text);
  if (!/^\d{1,2}$/.test(text) || number < 1 || number > MOST_SHARDS) {
    throw new InvalidArgumentError(`a whole number from 1 to ${MOST_SHARDS}`);
  }
  return number;
}
