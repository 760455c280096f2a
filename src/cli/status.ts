import type { Command } from "commander";
import { readConfig } from "../config.js";
import { createLogger } from "../logging.js";
import { collectStatus, isReady } from "../status/collect-status.js";
import {
  auditInWords,
  duration,
  exceptionsInWords,
  recoveryInWords,
  refundsInWords,
  seconds,
} from "../status/in-words.js";
import type {
  AccountStatus,
  NetworkFeed,
  OpenExceptions,
  Rate,
  Status,
  WaitingEntry,
} from "../status/status.js";
import { NETWORK } from "../stream/stream-keys.js";
import { visibleText } from "../visible-text.js";
import { openStatusSources } from "./open-database.js";
import { EXIT, print } from "./print.js";

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

/** The status for a terminal. */
export function describeStatus(status: Status): string {
  const lines = [
    status.healthy ? "paidonce is well" : "paidonce NEEDS ATTENTION",
    ...status.problems.map((problem) => `  ! ${problem}`),
    "",
    `postgres   ${status.postgres.reachable ? "up" : "DOWN"}${status.postgres.migrated ? "" : ", not migrated"}`,
    `redis      ${status.redis.reachable ? "up" : "DOWN"}`,
    `locks      ${locks(status)}`,
    `horizon    ${horizon(status)}`,
    `requests   ${requests(status)}`,
    ...reading(status),
    ...books(status),
    `recovery   ${recoveryInWords(status.last_recovery)}`,
    `audit      ${auditInWords(status.last_audit)}`,
    ...(status.roles ?? []).map(
      ({ role, name, alive, silent_ms: silent }) =>
        `role       ${role} ${name}: ${alive ? "alive" : "SILENT"}, last heard ${(silent / 1000).toFixed(1)} s ago`,
    ),
    ...status.accounts.flatMap((watched) => [...account(watched, status.network)]),
  ];
  return `${lines.map(visibleText).join("\n")}\n`;
}

function locks({ locks }: Status): string {
  const { mode, answering, servers, acquired, contended, no_quorum: without } = locks;
  return `${mode}, ${answering} of ${servers} servers answer; ${acquired} taken, ${contended} held by others, ${without} times no quorum`;
}

function horizon({ horizon, horizon_condition: condition }: Status): string {
  const state =
    condition === null || condition.name === "ok"
      ? ""
      : `${condition.name.replaceAll("_", " ").toUpperCase()}; `;
  if (horizon === null) return `${state}newest ledger not known: no ingest has told`;
  const age = horizon.newest_age_seconds;
  return `${state}newest ledger ${horizon.newest_ledger}${age === null ? "" : `, closed ${duration(age)} ago`}`;
}

function requests({ requests }: Status): string {
  if (requests === null) return "no limit is configured, or it can't be read";
  const { per_hour: perHour, left, used_last_hour: used } = requests;
  return `${used} of ${perHour} in the last hour${left === null ? "" : `, ${left} may be made at once`}`;
}

function* reading({ reading }: Status): Generator<string> {
  if (reading === null) return;
  yield `reading    ${reading.from === "network" ? "all accounts together" : "each account by itself"}: ${reading.why}`;
}

function* books(status: Status): Generator<string> {
  const { throughput, sessions, webhooks, charges, outbox_oldest_seconds: oldest } = status;
  if (throughput !== null) {
    const times = throughput.close_to_settled;
    yield `credits    ${perMinute(throughput.credits_per_minute)}`;
    yield `paid       ${perMinute(throughput.sessions_paid_per_minute)}`;
    yield `settled in ${times === null ? "nothing in the last 5 min" : `p50 ${seconds(times.p50_ms)}, p99 ${seconds(times.p99_ms)} (${times.credits} credits)`}`;
  }
  if (sessions !== null) {
    yield `sessions   ${sessions.pending} pending, ${sessions.processing} processing`;
    yield `outbox     ${status.outbox_unrelayed} events not relayed${oldest === null ? "" : `, oldest ${duration(oldest)}`}`;
  }
  if (status.exceptions !== null) yield `exceptions ${exceptions(status.exceptions)}`;
  if (status.refunds_owed !== null) yield `refunds    ${refundsInWords(status.refunds_owed)}`;
  if (webhooks !== null) {
    const age = webhooks.oldest_seconds;
    yield `webhooks   ${webhooks.pending} pending, ${webhooks.sending} being sent, ${webhooks.dead} dead${age === null ? "" : `, oldest ${duration(age)}`}`;
  }
  if (charges !== null) {
    const age = charges.oldest_unknown_seconds;
    yield `charges    ${charges.pending} pending, ${charges.processing} processing, ${charges.unknown} unknown${age === null ? "" : `, oldest ${duration(age)}`}`;
  }
}

function exceptions(open: OpenExceptions): string {
  return open.open === 0 ? exceptionsInWords(open) : `${open.open} open: ${exceptionsInWords(open)}`;
}

function* account(status: AccountStatus, feed: NetworkFeed | null): Generator<string> {
  const { stream, lag_ledgers: lag } = status;
  yield "";
  yield status.account === NETWORK
    ? `the network's feed, for ${feed?.accounts ?? 0} accounts`
    : status.account;
  yield `  settled    through ledger ${status.read_through_ledger} (${status.settled_through ?? "time not known yet"})`;
  if (stream === null) {
    yield "  stream     can't be read";
    return;
  }
  yield `  backlog    ${stream.backlog} entries${waiting(stream.oldest)}`;
  yield `  pending    ${stream.pending} being settled${waiting(stream.oldest_pending)}`;
  yield `  ingest     ${stream.leader === null ? "NOBODY LEADS" : `led by ${stream.leader}`}, ${lag === null ? "distance to Horizon not known" : `${lag} ledgers behind Horizon`}`;
  for (const { name, pending, idle_ms: idle } of stream.consumers)
    yield `  consumer   ${name}: ${pending} pending, last seen ${idle} ms ago`;
}

function waiting(entry: WaitingEntry | null): string {
  if (entry === null) return "";
  return `, oldest ${entry.id}${entry.age_seconds === null ? "" : ` (${duration(entry.age_seconds)})`}`;
}

function perMinute(rate: Rate): string {
  return `${rate.last_minute} in the last minute, ${rate.last_5_minutes} a minute over the last 5`;
}
