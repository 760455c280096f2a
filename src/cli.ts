#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { addApiCommand } from "./cli/api.js";
import { addAuditCommand } from "./cli/audit.js";
import { addConsumeCommand } from "./cli/consume.js";
import { addDeadLettersCommand } from "./cli/dead-letters.js";
import { addExceptionsCommand } from "./cli/exceptions.js";
import { EXIT } from "./cli/exit-codes.js";
import { addFindingsCommand } from "./cli/findings.js";
import { addHashPasswordCommand } from "./cli/hash-password.js";
import { addIngestCommand } from "./cli/ingest.js";
import { addMigrateCommand } from "./cli/migrate.js";
import { addRecoverCommand } from "./cli/recover.js";
import { addSandboxCommands } from "./cli/sandbox.js";
import { addStatusCommand } from "./cli/status.js";
import { addUpCommand } from "./cli/up.js";
import { addWatchCommand } from "./cli/watch.js";
import { addWorkCommand } from "./cli/work.js";
import { ConfigError } from "./config.js";

const program = new Command("paidonce")
  .description("Payments on the Stellar network, counted exactly once.")
  .version("0.1.0")
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

addUpCommand(program);
addMigrateCommand(program);
addIngestCommand(program);
addConsumeCommand(program);
addWorkCommand(program);
addApiCommand(program);
addStatusCommand(program);
addWatchCommand(program);
addDeadLettersCommand(program);
addAuditCommand(program);
addRecoverCommand(program);
addFindingsCommand(program);
addHashPasswordCommand(program);
addExceptionsCommand(program);
addSandboxCommands(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints what went wrong in words a person can act on. @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
    return EXIT.usage;
  }
  process.stderr.write(`paidonce: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env.LOG_LEVEL === "debug" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return EXIT.failed;
}
