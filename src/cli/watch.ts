import { Argument, type Command } from "commander";
import type { DataSource } from "typeorm";
import { readConfig } from "../config.js";
import { NetworkView } from "../horizon/network-view.js";
import { createLogger } from "../logging.js";
import { acceptHole, acceptNetworkHole } from "../settlement/accept-hole.js";
import { watchAccount } from "../settlement/watch-account.js";
import { parseAccountId } from "../stellar/account.js";
import type { AccountId } from "../stellar/credit.js";
import { openDatabaseNow } from "./open-database.js";
import { openHorizon } from "./open-horizon.js";
import { print } from "./print.js";

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
  const config = readConfig(process.env);
  const dataSource = await openDatabaseNow(config, "cli");
  try {
    const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "cli");
    const horizon = openHorizon(config, logger, { redis: null, purpose: "check" });
    await run(dataSource, new NetworkView(horizon, config.NETWORK_PASSPHRASE));
  } finally {
    await dataSource.destroy();
  }
}
