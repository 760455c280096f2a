import { type Command, InvalidArgumentError } from "commander";
import { runRole } from "../../src/cli/run-role.js";
import { ConfigError, readConfig } from "../../src/config.js";
import { createLogger } from "../../src/logging.js";
import { startStripeSandbox } from "../stripe-sandbox/server.js";

/** Enough for a logger where no servers are configured. */
const NO_SERVERS = {
  DATABASE_URL: "postgres://none/none",
  REDIS_URL: "redis://none",
  HORIZON_URL: "http://none",
};

type Options = { port: number; journal?: string; webhookUrl?: string; webhookSecret?: string };

export function addStripeSandboxCommand(program: Command): void {
  program
    .command("stripe-sandbox")
    .description("a server on this machine that speaks Stripe's API, for development: no real money")
    .option("--port <n>", "where to listen on 127.0.0.1; 0 takes a free one", port, 8420)
    .option("--journal <file>", "keeps its payment intents over restarts")
    .option("--webhook-url <url>", "where its events go")
    .option("--webhook-secret <whsec>", "what it signs them with")
    .addHelpText(
      "after",
      "\nAny key that starts with sk_test_ will do. Payment methods: docs/stripe-sandbox.md",
    )
    .action(async (options: Options) => {
      const logger = createLogger(readConfig({ ...NO_SERVERS, ...process.env }), "stripe-sandbox");
      const webhook = webhookOf(options);
      let stop = async () => {};
      await runRole(logger, {
        start: async () => {
          const sandbox = await startStripeSandbox({
            port: options.port,
            ...(options.journal === undefined ? {} : { journal: options.journal }),
            ...(webhook === null ? {} : { webhook }),
          });
          stop = sandbox.stop;
          logger.info(
            { port: sandbox.port },
            `Stripe sandbox on ${sandbox.url}, events go ${webhook === null ? "nowhere" : `to ${webhook.url}`}`,
          );
        },
        stop: () => stop(),
      });
    });
}

/** @throws ConfigError where one is given without the other */
function webhookOf({ webhookUrl: url, webhookSecret: secret }: Options) {
  if (url === undefined && secret === undefined) return null;
  if (url === undefined || secret === undefined || !URL.canParse(url))
    throw new ConfigError(["--webhook-url and --webhook-secret: a URL and a secret, both or none"]);
  return { url, secret };
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}
