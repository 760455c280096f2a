import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { ConfigError } from "../config.js";
import { VERSION } from "../version.js";
import { EXIT, printError, surviveClosedPipes } from "./print.js";

/**
 * Loads what adds a command to the program. Only the command that was asked for is loaded: with the libraries of all of
 * them a process takes twice as long to start.
 */
export type LoadCommand = () => Promise<(program: Command) => void>;

/**
 * What V8 has made of the modules is read from here by the next process, which starts in two thirds of the time. Beside the
 * built files and not in the system's temporary folder: there any user of the machine could put code for us to run. Where
 * this folder can't be written, as in the image, nothing is kept.
 */
const COMPILED = fileURLToPath(new URL("../../.compiled", import.meta.url));

/**
 * Runs the command that this process was started with, and sets the exit code.
 * @param commands by name
 */
export async function runProgram(commands: ReadonlyMap<string, LoadCommand>): Promise<void> {
  surviveClosedPipes();
  enableCompileCache(COMPILED);
  const program = new Command("paidonce")
    .description("Payments on the Stellar network, counted exactly once.")
    .version(VERSION)
    .showHelpAfterError("(paidonce --help lists the commands)")
    .exitOverride()
    .addHelpText("after", EXAMPLES);
  const asked = commands.get(process.argv[2] ?? "");
  // Anything else, such as --help or a command misspelt, is answered from the list of all.
  for (const load of asked ? [asked] : new Set(commands.values())) (await load())(program);
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = await report(error);
    // A role that is refused has connections open by then, which would keep the process for ever.
    if (error instanceof ConfigError) process.exit();
  }
}

const EXAMPLES = `
Examples:
  paidonce migrate && paidonce ingest  the roles by themselves, configured from the environment
  paidonce consume                     one consumer; start as many as you like
  paidonce status --json               for scripts: exit code 1 while something needs a person

Exit codes: 0 well, 1 failed or needs attention, 2 wrong usage or configuration.
Every variable is described in docs/configuration.md.`;

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

const watch = async () => (await import("./watch.js")).addWatchCommand;
/** What an operator runs, by name. */
export const COMMANDS: ReadonlyMap<string, LoadCommand> = new Map<string, LoadCommand>([
  ["migrate", async () => (await import("./migrate.js")).addMigrateCommand],
  ["ingest", async () => (await import("./ingest.js")).addIngestCommand],
  ["consume", async () => (await import("./consume.js")).addConsumeCommand],
  ["work", async () => (await import("./work.js")).addWorkCommand],
  ["api", async () => (await import("./api.js")).addApiCommand],
  ["status", async () => (await import("./status.js")).addStatusCommand],
  ["watch", watch],
  ["accept-hole", watch],
  ["shards", async () => (await import("./watch.js")).addShardsCommand],
  ["streams", async () => (await import("./streams.js")).addStreamsCommand],
  ["entry-key", async () => (await import("./streams.js")).addEntryKeyCommand],
  ["dead-letters", async () => (await import("./dead-letters.js")).addDeadLettersCommand],
  ["audit", async () => (await import("./audit.js")).addAuditCommand],
  ["recover", async () => (await import("./recover.js")).addRecoverCommand],
  ["findings", async () => (await import("./recover.js")).addFindingsCommand],
  ["charges", async () => (await import("./charges.js")).addChargesCommand],
  ["webhooks", async () => (await import("./webhooks.js")).addWebhooksCommand],
  ["partitions", async () => (await import("./partitions.js")).addPartitionsCommand],
  ["hash-password", async () => (await import("./hash-password.js")).addHashPasswordCommand],
  ["exceptions", async () => (await import("./exceptions.js")).addExceptionsCommand],
]);
