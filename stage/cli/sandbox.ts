import { type Command, InvalidArgumentError } from "commander";
import { validate as isUuid } from "uuid";
import { openDatabase, openDatabaseNow } from "../../src/cli/open-database.js";
import { print } from "../../src/cli/print.js";
import { runRole } from "../../src/cli/run-role.js";
import { readConfig } from "../../src/config.js";
import type { SessionId } from "../../src/entities/checkout-session.js";
import { createLogger } from "../../src/logging.js";
import { parseStroops, type Stroops } from "../../src/stellar/stroops.js";
import { SANDBOX_PASSPHRASE } from "../sandbox/network.js";
import { startSandbox } from "../sandbox/server.js";
import { DATA_FOLDER } from "../up/data-folder.js";
import { keptKeys } from "../up/demo-keys.js";
import { runDemoShop } from "../up/demo-shop.js";
import { paySession, whatBecameOf } from "../up/pay-session.js";

/** Enough for a logger where no servers are configured. */
const NO_SERVERS = {
  DATABASE_URL: "postgres://none/none",
  REDIS_URL: "redis://none",
  HORIZON_URL: "http://none",
};

type SandboxArguments = {
  port: number;
  interval: number;
  requestsPerHour: number;
  look: number;
  journal?: string;
};

export function addSandboxCommands(program: Command): void {
  program
    .command("sandbox")
    .description("a Stellar network on this machine that speaks Horizon, for development: no real money")
    .option("--port <n>", "where to listen on 127.0.0.1; 0 takes a free one", wholeNumber, 8000)
    .option("--interval <ms>", "a ledger closes this often", wholeNumber, 5_000)
    .option(
      "--requests-per-hour <n>",
      "what a client may ask, each look of a stream too; 0 is no limit",
      wholeNumber,
      3_600,
    )
    .option("--look <ms>", "a stream looks for new ledgers this often", wholeNumber, 5_000)
    .option("--journal <file>", "keep the ledgers here, and go on from them at the next start")
    .addHelpText("after", `\nNetwork passphrase: ${SANDBOX_PASSPHRASE}\nCoins: GET /friendbot?addr=G…`)
    .action(async (options: SandboxArguments) => {
      const logger = createLogger(readConfig({ ...NO_SERVERS, ...process.env }), "sandbox");
      let stop = async () => {};
      await runRole(logger, {
        start: async () => {
          const sandbox = await startSandbox({
            port: options.port,
            ledgerMs: options.interval,
            requestsPerHour: options.requestsPerHour,
            lookMs: options.look,
            ...(options.journal === undefined ? {} : { journal: options.journal }),
          });
          stop = sandbox.stop;
          logger.info(`sandbox network on ${sandbox.url}, a ledger every ${options.interval} ms`);
        },
        stop: () => stop(),
      });
    });

  program
    .command("customers")
    .description("open sessions of the demo merchant on the sandbox, and pay them as customers do")
    .option("--every <ms>", "a customer comes this often", wholeNumber, 1_500)
    .action(async ({ every }: { every: number }) => {
      const config = readConfig(process.env);
      const logger = createLogger(config, "customers");
      const dataSource = await openDatabase(config, "customers", logger);
      const closing = new AsyncDisposableStack();
      closing.defer(() => dataSource.destroy());
      const stopping = new AbortController();
      let running: Promise<void> = Promise.resolve();
      await runRole(
        logger,
        {
          start: () => {
            running = runDemoShop({ dataSource, config, logger, everyMs: every, signal: stopping.signal });
          },
          stop: async () => {
            stopping.abort();
            await running;
          },
        },
        closing,
      );
    });

  addPayCommand(program);

  program
    .command("demo-key")
    .description("the API key of the demo's merchant, while `paidonce up` runs in this folder")
    .action(async () => {
      await print((await keptKeys(DATA_FOLDER)).merchant);
    });
}

/** For whoever tries the API by hand: somebody must pay what they open. */
function addPayCommand(program: Command): void {
  program
    .command("pay")
    .description("pay a session on the sandbox, as a customer would")
    .argument("<session>", "the session's id", sessionId)
    .option("--amount <decimal>", "another amount than the session asks for", amount)
    .action(async (id: SessionId, options: { amount?: Stroops }) => {
      const config = readConfig(process.env);
      const dataSource = await openDatabaseNow(config, "pay");
      try {
        const network = { horizonUrl: config.HORIZON_URL, passphrase: config.NETWORK_PASSPHRASE };
        const paid = await paySession(dataSource, id, network, options.amount);
        await print(`paid by ${paid.from} in transaction ${paid.hash}`);
        const became = await whatBecameOf(dataSource, id, paid.hash);
        await print(became ?? "not settled yet: does `paidonce consume` run?");
      } finally {
        await dataSource.destroy();
      }
    });
}

function sessionId(text: string): SessionId {
  if (!isUuid(text)) throw new InvalidArgumentError("It must be a UUID.");
  return text as SessionId;
}

function amount(text: string): Stroops {
  try {
    return parseStroops(text);
  } catch {
    throw new InvalidArgumentError("It must be a decimal with at most 7 decimals.");
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}
