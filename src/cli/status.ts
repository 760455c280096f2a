import type { Command } from "commander";
import { createLogger } from "../logging.js";
import { collectStatus, isReady, type Status } from "../status/collect-status.js";
import { readEnvironment } from "./environment.js";
import { EXIT } from "./exit-codes.js";
import { openStatusSources } from "./open-status-sources.js";

export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("what the service is doing, and what needs a person; exit code 1 while something does")
    .option("--json", "the same as GET /v1/status")
    .option("--ready", "exit code by what a role needs to run (Postgres, Redis, migrations) and nothing else")
    .action(async (options: { json?: boolean; ready?: boolean }) => {
      const config = await readEnvironment();
      const sources = await openStatusSources(
        config,
        createLogger({ ...config, LOG_LEVEL: "silent" }, "status"),
      );
      try {
        const status = await collectStatus(sources);
        process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : describe(status));
        // A dead letter needs a person, not a restart: health checks of containers ask for less.
        const isWell = options.ready ? isReady(status) : status.healthy;
        process.exitCode = isWell ? EXIT.ok : EXIT.failed;
      } finally {
        await sources.close();
      }
    });
}

/** The status for a terminal. */
function describe(status: Status): string {
  const lines = [
    status.healthy ? "paidonce is well" : "paidonce NEEDS ATTENTION",
    ...status.problems.map((problem) => `  ! ${problem}`),
    "",
    `postgres   ${status.postgres.reachable ? "up" : "DOWN"}${status.postgres.migrated ? "" : ", not migrated"}`,
    `redis      ${status.redis.reachable ? "up" : "DOWN"}`,
    `locks      ${status.locks.mode}, ${status.locks.answering} of ${status.locks.servers} servers answer`,
  ];
  if (status.sessions !== null) {
    lines.push(
      `sessions   ${status.sessions.pending} pending, ${status.sessions.processing} processing`,
      `exceptions ${status.unreadable} unreadable`,
      `outbox     ${status.outbox_unrelayed} events not relayed`,
    );
  }
  for (const { account, stream, ...cursor } of status.accounts) {
    lines.push(
      "",
      account,
      `  settled    through ledger ${cursor.watermark_ledger} (${cursor.settled_through ?? "time not known yet"})`,
    );
    if (stream === null) {
      lines.push("  stream     can't be read");
      continue;
    }
    lines.push(
      `  backlog    ${stream.backlog} entries, ${stream.pending} of them being settled${stream.oldest_entry === null ? "" : `, oldest ${stream.oldest_entry}`}`,
      `  ingest     ${stream.leader === null ? "NOBODY LEADS" : `led by ${stream.leader}`}`,
      ...stream.consumers.map(
        (consumer) =>
          `  consumer   ${consumer.name}: ${consumer.pending} pending, last seen ${consumer.idle_ms} ms ago`,
      ),
    );
  }
  return `${lines.join("\n")}\n`;
}
