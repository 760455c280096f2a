#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { EXIT } from "./cli/exit-codes.js";
import { printError, surviveClosedPipes } from "./cli/print.js";
import { ConfigError } from "./config.js";
import { VERSION } from "./version.js";

/**
 * What adds each command, loaded only for the one that was asked for: with the libraries of all of them a process
 * takes twice as long to start.
 */
const sandbox = async () => (await import("./cli/sandbox.js")).addSandboxCommands;
const watch = async () => (await import("./cli/watch.js")).addWatchCommand;
const COMMANDS: ReadonlyMap<string, () => Promise<(program: Command) => void>> = new Map([
  ["up", async () => (await import("./cli/up.js")).addUpCommand],
  ["migrate", async () => (await import("./cli/migrate.js")).addMigrateCommand],
  ["ingest", async () => (await import("./cli/ingest.js")).addIngestCommand],
  ["consume", async () => (await import("./cli/consume.js")).addConsumeCommand],
  ["work", async () => (await import("./cli/work.js")).addWorkCommand],
  ["api", async () => (await import("./cli/api.js")).addApiCommand],
  ["status", async () => (await import("./cli/status.js")).addStatusCommand],
  ["watch", watch],
  ["accept-hole", watch],
  ["shards", async () => (await import("./cli/shards.js")).addShardsCommand],
  ["streams", async () => (await import("./cli/streams.js")).addStreamsCommand],
  ["entry-key", async () => (await import("./cli/entry-key.js")).addEntryKeyCommand],
  ["dead-letters", async () => (await import("./cli/dead-letters.js")).addDeadLettersCommand],
  ["audit", async () => (await import("./cli/audit.js")).addAuditCommand],
  ["recover", async () => (await import("./cli/recover.js")).addRecoverCommand],
  ["findings", async () => (await import("./cli/findings.js")).addFindingsCommand],
  ["charges", async () => (await import("./cli/charges.js")).addChargesCommand],
  ["webhooks", async () => (await import("./cli/webhooks.js")).addWebhooksCommand],
  ["partitions", async () => (await import("./cli/partitions.js")).addPartitionsCommand],
  ["hash-password", async () => (await import("./cli/hash-password.js")).addHashPasswordCommand],
  ["exceptions", async () => (await import("./cli/exceptions.js")).addExceptionsCommand],
  ["sandbox", sandbox],
  ["stripe-sandbox", async () => (await import("./cli/stripe-sandbox.js")).addStripeSandboxCommand],
  ["customers", sandbox],
  ["demo-key", sandbox],
  ["pay", sandbox],
  ["sign", async () => (await import("./cli/sign.js")).addSignCommand],
]);

surviveClosedPipes();

const program = new Command("paidonce")
  .description("Payments on the Stellar network, counted exactly once.")
  .version(VERSION)
  .showHelpAfterError("(paidonce --help lists the commands)")
  .exitOverride()
  .addHelpText(
    "after",
    `
Examples:
  paidonce up                          everything on this machine, with a sandbox network and customers
  paidonce migrate && paidonce ingest  the roles by themselves, configured from the environment
  paidonce consume                     one consumer; start as many as you like
  paidonce status --json               for scripts: exit code 1 while something needs a person

Exit codes: 0 well, 1 failed or needs attention, 2 wrong usage or configuration.
Every variable is described in docs/configuration.md.`,
  );

const asked = COMMANDS.get(process.argv[2] ?? "");
// Anything else, such as --help or a command misspelt, is answered from the list of all.
for (const load of asked ? [asked] : new Set(COMMANDS.values())) (await load())(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = await report(error);
  // A role that is refused has connections open by then, which would keep the process for ever.
  if (error instanceof ConfigError) process.exit();
}

/** Prints what went wrong in words a person can act on. @returns the exit code */
async function report(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    await printError(...error.problems);
    return EXIT.usage;
  }
  await printError(`paidonce: ${error instanceof Error ? error.message : String(error)}`);
  if (process.env.LOG_LEVEL === "debug" && error instanceof Error) {
    await printError(...String(error.stack).split("\n"));
  }
  return EXIT.failed;
}
