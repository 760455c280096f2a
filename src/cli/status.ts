import type { Command } from "commander";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { type Config, ConfigError, readConfig } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { createLogger } from "../logging.js";
import { connectRedis } from "../redis/client.js";
import { collectStatus, isReady, type StatusSources } from "../status/collect-status.js";
import {
  auditInWords,
  duration,
  exceptionsInWords,
  outsideInWords,
  recoveryInWords,
  refundsInWords,
  seconds,
} from "../status/in-words.js";
import {
  type AccountStatus,
  type NetworkFeed,
  type OpenExceptions,
  type Rate,
  type Status,
  statusLimits,
  type WaitingEntry,
} from "../status/status.js";
import { NETWORK } from "../stream/stream-keys.js";
import { visibleText } from "../visible-text.js";
import { refuseOtherNetwork, refuseUnfitPostgres } from "./check-servers.js";
import { openLockServers, redisTarget } from "./open-servers.js";
import { EXIT, print } from "./print.js";

export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("what the service is doing, and what needs a person; exit code 1 while something does")
    .option("--json", "the same as GET /v1/status")
    .option("--ready", "exit code by what a role needs to run (Postgres, Redis, migrations) and nothing else")
    .action(async (options: { json?: boolean; ready?: boolean }) => {
      const config = readConfig(process.env);
      const logger = createLogger({ ...config, LOG_LEVEL: "silent" }, "status");
      await using sources = await openStatusSources(config, logger);
      const status = await collectStatus(sources);
      const text = options.json ? JSON.stringify(status, null, 2) : describeStatus(status);
      await print(...text.trimEnd().split("\n"));
      // A dead letter needs a person, not a restart: health checks of containers ask for less.
      const isWell = options.ready ? isReady(status) : status.healthy;
      process.exitCode = isWell ? EXIT.ok : EXIT.failed;
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
  if (status.outside_payments !== null) yield `outside    ${outsideInWords(status.outside_payments)}`;
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

/** Connections for reading the status. What can't be reached is left so: that is what the status says. */
export async function openStatusSources(
  config: Config,
  logger: Logger,
  role = "status",
): Promise<StatusSources & AsyncDisposable> {
  const dataSource = createDataSource({
    url: config.DATABASE_URL,
    applicationName: `paidonce-${role}`,
    poolSize: role === "api" ? 10 : 3,
  });
  const closing = new AbortController();
  const connecting = await connectWhenThere(
    dataSource,
    // A command that only reads does not say which network the database belongs to.
    async () => {
      await refuseUnfitPostgres(dataSource);
      await refuseOtherNetwork(dataSource, config, { claim: role === "api" });
    },
    logger,
    closing.signal,
  );
  const redis = connectRedis(redisTarget(config), `paidonce-${role}`, logger);
  const lockServers = await openLockServers(config, logger);
  return {
    dataSource,
    redis,
    lockServers,
    lockMode: config.LOCKS,
    budget: { url: config.HORIZON_URL, perHour: config.HORIZON_REQUESTS_PER_HOUR },
    statusLimits: statusLimits(config),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await connecting.done;
      for (const connection of [redis, ...lockServers]) connection.disconnect();
      if (dataSource.isInitialized) await dataSource.destroy();
    },
  };
}

/** How often to look for a Postgres that was away at the start. */
const LOOK_AGAIN_MS = 2_000;

/**
 * Connects, or goes on trying in the background: an API that was started first would otherwise say for ever
 * that Postgres is away.
 * @throws ConfigError where the database holds the books of another network; in the background that ends the process
 * @returns after the first attempt; `done` resolves when there is no more to come
 */
async function connectWhenThere(
  dataSource: DataSource,
  refuseUnfit: () => Promise<void>,
  logger: Logger,
  signal: AbortSignal,
): Promise<{ done: Promise<void> }> {
  const connect = async () => {
    if (!dataSource.isInitialized) await dataSource.initialize();
    await refuseUnfit();
  };
  try {
    await connect();
    return { done: Promise.resolve() };
  } catch (error) {
    if (error instanceof ConfigError) {
      await dataSource.destroy();
      throw error;
    }
    logger.warn({ err: error }, "Postgres is away, or not migrated");
  }
  const tryAgain = async () => {
    while (!signal.aborted) {
      await sleep(LOOK_AGAIN_MS, signal);
      if (signal.aborted) return;
      try {
        return await connect();
      } catch (error) {
        if (!(error instanceof ConfigError)) continue;
        // It serves already: ended, it refuses as it would have at its start.
        for (const problem of error.problems) logger.fatal(problem);
        process.exit(EXIT.usage);
      }
    }
  };
  return { done: tryAgain() };
}
