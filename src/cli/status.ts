import type { Command } from "commander";
import { readConfig } from "../config.js";
import { createLogger } from "../logging.js";
import { collectStatus, isReady } from "../status/collect-status.js";
import { describeStatus } from "./describe-status.js";
import { EXIT } from "./exit-codes.js";
import { openStatusSources } from "./open-status-sources.js";
import { print } from "./print.js";

export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("what the service is doing, and what needs a person; exit code 1 while something does")
    .option("--json", "the same as GET /v1/status")
    .option("--ready", "exit code by what a role needs to run (Postgres, Redis, migrations) and nothing else")
    .action(async (options: { json?: boolean; ready?: boolean }) => {
      const config = readConfig(process.env);
      const sources = await openStatusSources(
        config,
        createLogger({ ...config, LOG_LEVEL: "silent" }, "status"),
      );
      try {
        const status = await collectStatus(sources);
        const text = options.json ? JSON.stringify(status, null, 2) : describeStatus(status);
        await print(...text.trimEnd().split("\n"));
        // A dead letter needs a person, not a restart: health checks of containers ask for less.
        const isWell = options.ready ? isReady(status) : status.healthy;
        process.exitCode = isWell ? EXIT.ok : EXIT.failed;
      } finally {
        await sources.close();
      }
    });
}
