import type { Command } from "commander";
import { closeFinding, type RecordedFinding, readFindings } from "../findings/findings-log.js";
import { createLogger } from "../logging.js";
import { type RecoveryReport, recover } from "../recovery/recover.js";
import { connectRedis } from "../redis/client.js";
import { idOf, limit, note } from "./arguments.js";
import { type Opened, withDatabase } from "./open-database.js";
import { openHorizon, openLocks, redisTarget } from "./open-servers.js";
import { EXIT, print } from "./print.js";

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
      await withDatabase("recover", (opened) => recoverOnce(opened, dryRun, json));
    });
}

async function recoverOnce(
  { config, dataSource, closing }: Opened,
  dryRun: boolean,
  json: boolean,
): Promise<void> {
  // The report says it all; a log between its lines would only be in the way.
  const logger = createLogger({ ...config, LOG_LEVEL: "silent" }, "recover");
  const redis = connectRedis(redisTarget(config), "paidonce-recover", logger);
  closing.defer(() => redis.disconnect());
  const locks = await openLocks(config, logger, closing);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort(new Error("interrupted; what was put right stays so")));
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
  await print(...(json ? [JSON.stringify(report)] : describeReport(report, dryRun)));
  if (!isWell(report)) process.exitCode = EXIT.failed;
}

function isWell({ findings, failures }: RecoveryReport): boolean {
  return Object.keys(failures).length === 0 && findings.every(({ action }) => action !== "needs_person");
}

function describeReport({ findings, waiting, failures }: RecoveryReport, dryRun: boolean): string[] {
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

type ListOptions = { open?: boolean; limit: number; json?: boolean };

export function addFindingsCommand(program: Command): void {
  const findings = program.command("findings").description("what recovery found, and what it did about it");
  findings
    .command("list", { isDefault: true })
    .description("the newest first")
    .option("--open", "only those that wait for a person")
    .option("--limit <number>", "how many", limit, 20)
    .option("--json", "one JSON object per line, with evidence")
    .action(async (options: ListOptions) => {
      await withDatabase("findings", async ({ dataSource: { manager } }) => {
        const found = await readFindings(manager, options);
        const lines = found.flatMap((finding) =>
          options.json ? [JSON.stringify(finding)] : describe(finding),
        );
        if (lines.length === 0 && !options.json) lines.push("nothing was found");
        await print(...lines);
      });
    });
  findings
    .command("close")
    .description("say that a finding is dealt with; it opens again if the next run finds the same")
    .argument("<id>", "as `paidonce findings --open` shows it", idOf("a finding's"))
    .requiredOption("--note <text>", "what was done about it", note("what was done"))
    .action(async (id: string, { note }: { note: string }) => {
      await withDatabase("findings", async ({ dataSource: { manager } }) => {
        const closed = await closeFinding(manager, id, note);
        await print(closed ? "closed" : `no finding ${id} is open: \`paidonce findings --open\``);
        if (!closed) process.exitCode = EXIT.failed;
      });
    });
}

function describe({ id, kind, action, detail, foundAt, seenAt, closedAt }: RecordedFinding): string[] {
  const state = closedAt === null ? `OPEN, last seen ${seenAt.toISOString()}` : action.replaceAll("_", " ");
  return [`${foundAt.toISOString()}  ${kind}  ${state}  ${id}`, `   ${detail}`];
}
