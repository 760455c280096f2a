import { Argument, type Command, InvalidArgumentError } from "commander";
import type { DataSource } from "typeorm";
import { NetworkView } from "../horizon/network-view.js";
import { changeShards, MOST_SHARDS } from "../ingest/account-feed.js";
import { readCursor } from "../ingest/watermark.js";
import { createLogger } from "../logging.js";
import { acceptHole, acceptNetworkHole, watchAccount } from "../settlement/watch-account.js";
import { parseAccountId } from "../stellar/account.js";
import type { AccountId } from "../stellar/credit.js";
import { withDatabase } from "./open-database.js";
import { openHorizon } from "./open-servers.js";
import { EXIT, print } from "./print.js";

const account = () => new Argument("<account>", "a G… account").argParser(parseAccountId);

export function addWatchCommand(program: Command): void {
  program
    .command("watch")
    .description(
      "watch a receiving account from the newest ledger on; sessions can be opened on it from then",
    )
    .addArgument(account())
    .action((id: AccountId) =>
      withNetwork(async (dataSource, network) => {
        const { historyLatestLedger } = await network.refresh(AbortSignal.timeout(30_000));
        const isNew = await watchAccount(dataSource.manager, id, historyLatestLedger);
        await print(
          isNew ? `watching ${id} after ledger ${historyLatestLedger}` : `${id} is watched already`,
        );
      }),
    );

  program
    .command("accept-hole")
    .description(
      "go on although ledgers after the account's cursor can't be had any more; kept on the record",
    )
    .addArgument(
      new Argument("<account>", "a G… account, or `network` for all that are read together").argParser(
        (text: string) => (text === "network" ? text : parseAccountId(text)),
      ),
    )
    .requiredOption("--reason <text>", "why the missing ledgers hold no payment, or how they were checked")
    .action((id: AccountId | "network", { reason }: { reason: string }) =>
      withNetwork(async (dataSource, network) => {
        const { historyElderLedger } = await network.refresh(AbortSignal.timeout(30_000));
        const hole =
          id === "network"
            ? await acceptNetworkHole(dataSource, historyElderLedger, reason)
            : await acceptHole(dataSource, id, historyElderLedger, reason);
        await print(
          hole === null
            ? `${id} has no hole: the server has every ledger after its watermark`
            : `accepted: operations ${hole.missingFrom} to ${hole.missingTo} of ${id} may be missing`,
        );
      }),
    );
}

async function withNetwork(
  run: (dataSource: DataSource, network: NetworkView) => Promise<void>,
): Promise<void> {
  await withDatabase("cli", async ({ config, dataSource }) => {
    const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "cli");
    const horizon = openHorizon(config, logger, { redis: null, purpose: "check" });
    await run(dataSource, new NetworkView(horizon, config.NETWORK_PASSPHRASE));
  });
}

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
      await withDatabase("cli", async ({ dataSource }) => {
        if (number === undefined) {
          const { shards } = await readCursor(dataSource.manager, account);
          await print(`${account} has ${streams(shards)}`);
          return;
        }
        const change = await changeShards(dataSource, account, number);
        if (change.kind === "not_watched" || change.kind === "under_way") process.exitCode = EXIT.failed;
        await print(`${account} ${words(change, number)}`);
      });
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
