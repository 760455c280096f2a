import type { Command } from "commander";
import { readConfig } from "../config.js";
import { createLogger } from "../logging.js";
import { type RecoveryReport, recover } from "../recovery/recover.js";
import { connectRedis } from "../redis/client.js";
import { EXIT } from "./exit-codes.js";
import { openDatabaseNow } from "./open-database.js";
import { openHorizon } from "./open-horizon.js";
import { openLocks, redisTarget } from "./open-locks.js";
import { print } from "./print.js";

export function addRecoverCommand(program: Command): void {
  program
    .command("recover")
    .description(
      "look once for what faults have left behind and put it right; exit code 1 if a person is needed",
    )
    .option("--dry-run", "only say what would be done")
    .option("--json", "one JSON object")
    .addHelpText("after", "\n`paidonce work` does the same every five minutes. Both at once is fine.")
    .action(async ({ dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }) => {
      const config = readConfig(process.env);
      // The report says it all; a log between its lines would only be in the way.
      const logger = createLogger({ ...config, LOG_LEVEL: "silent" }, "recover");
      const dataSource = await openDatabaseNow(config, "recover");
      const redis = connectRedis(redisTarget(config), "paidonce-recover", logger);
      const { locks, close } = await openLocks(config, logger);
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort(new Error("interrupted; what was put right stays so")));
      try {
        const report = await recover(
          {
            dataSource,
            redis,
            locks,
            logger,
            horizon: openHorizon(config, logger, { redis, purpose: "check" }),
            passphrase: config.NETWORK_PASSPHRASE,
            afterSeconds: config.RECOVERY_AFTER_SECONDS,
            maxDeliveries: config.MAX_DELIVERIES,
            signal: stop.signal,
          },
          { dryRun },
        );
        await print(...(json ? [JSON.stringify(report)] : describe(report, dryRun)));
        if (!isWell(report)) process.exitCode = EXIT.failed;
      } finally {
        close();
        redis.disconnect();
        await dataSource.destroy();
      }
    });
}

function isWell({ findings, failures }: RecoveryReport): boolean {
  return Object.keys(failures).length === 0 && findings.every(({ action }) => action !== "needs_person");
}

function describe({ findings, waiting, failures }: RecoveryReport, dryRun: boolean): string[] {
  const lines = findings.flatMap(({ action, kind, detail }) => [
    `${action === "needs_person" ? "!" : dryRun ? "would" : "done"}  ${kind}: ${action.replaceAll("_", " ")}`,
    `   ${detail}`,
  ]);
  for (const [check, why] of Object.entries(failures)) {
    lines.push(`!  the check of ${check.replaceAll("_", " ")} could not be made: ${why}`);
  }
  if (lines.length === 0) lines.push("nothing was left behind");
  if (waiting > 0) lines.push(`${waiting} left for the next run: still on their way, or held by somebody`);
  if (dryRun) lines.push("nothing was changed: this was a dry run");
  return lines;
}
