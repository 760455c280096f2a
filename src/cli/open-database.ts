import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { type Config, ConfigError, redactUrl } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { Replica } from "../entities/replica.js";
import { databaseFault } from "../postgres/database-errors.js";
import { SettingsLostError } from "../postgres/session-settings.js";
import { assertWritable } from "../postgres/writable.js";
import { connectRedis } from "../redis/client.js";
import type { StatusSources } from "../status/collect-status.js";
import { statusLimits } from "../status/status.js";
import { refuseOtherNetwork, refuseUnfitPostgres } from "./check-servers.js";
import { openLockServers, redisTarget } from "./open-servers.js";
import { EXIT } from "./print.js";

export class NotMigratedError extends Error {
  override readonly name = "NotMigratedError";
}

/** For a person who waits for an answer: says what to do. */
export class DatabaseAwayError extends Error {
  override readonly name = "DatabaseAwayError";
}

/** Longest pause between two tries to reach a database that is away. */
const MAX_PAUSE_MS = 2_000;

/**
 * Connects to Postgres; while it can't be reached or takes no writes, says so once and keeps trying: a role that gives
 * up because the database restarts would need somebody to start it again.
 *
 * @throws NotMigratedError when the tables are missing or older than this program
 * @throws ConfigError when it holds the books of another network
 */
export async function openDatabase(config: Config, role: string, logger: Logger): Promise<DataSource> {
  const dataSource = newDataSource(config, role);
  for (let failures = 0; ; failures++) {
    try {
      if (!dataSource.isInitialized) await dataSource.initialize();
      const fit = await refuseUnfit(dataSource, config, { claim: true });
      await assertWritable(fit);
      return fit;
    } catch (error) {
      if (error instanceof SettingsLostError) throw new ConfigError([`DATABASE_URL: ${error.message}`]);
      if (databaseFault(error) !== "unavailable") throw error;
      if (failures === 0) {
        logger.warn(
          { err: error, database: redactUrl(config.DATABASE_URL) },
          "Postgres is away, or takes no writes; waiting for it",
        );
      }
      await sleep(Math.min(MAX_PAUSE_MS, 100 * 2 ** failures));
    }
  }
}

/**
 * Connects to Postgres, or fails at once: for commands that somebody waits for, who would otherwise see one that
 * hangs and says nothing.
 *
 * @throws DatabaseAwayError when it can't be reached
 * @throws NotMigratedError when the tables are missing or older than this program
 * @throws ConfigError when it holds the books of another network
 */
export async function openDatabaseNow(config: Config, command: string): Promise<DataSource> {
  const dataSource = newDataSource(config, command);
  try {
    await dataSource.initialize();
  } catch (error) {
    if (databaseFault(error) !== "unavailable") throw error;
    throw new DatabaseAwayError(
      `Postgres can't be reached at ${redactUrl(config.DATABASE_URL)} (${reasonOf(error)}): bring it back, or mend DATABASE_URL, and run this again`,
      { cause: error },
    );
  }
  return refuseUnfit(dataSource, config, { claim: false });
}

function newDataSource(config: Config, role: string): DataSource {
  return createDataSource({
    url: config.DATABASE_URL,
    applicationName: `paidonce-${role}`,
    // Statements must end before a lock can: a late COMMIT under a lost lock is what leases are about.
    statementTimeoutMs: Math.min(5_000, Math.floor(config.LOCK_LEASE_MS / 2)),
  });
}

async function refuseUnfit(
  dataSource: DataSource,
  config: Config,
  options: { readonly claim: boolean },
): Promise<DataSource> {
  try {
    if (await dataSource.showMigrations()) {
      throw new NotMigratedError("the database is older than this program: run `paidonce migrate` first");
    }
    await refuseUnfitPostgres(dataSource);
    await refuseOtherNetwork(dataSource, config, options);
    return dataSource;
  } catch (error) {
    // The caller has nothing to close: an open pool would keep its process from ending.
    await dataSource.destroy();
    throw error;
  }
}

/** A host with several addresses fails once for each, in an error that has a code and no message. */
function reasonOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return message || code || "no answer";
}

/** The replica that lists are read from, not started yet; null where none is configured. */
export function openReplica(config: Config, primary: DataSource, logger: Logger): Replica | null {
  if (config.DATABASE_REPLICA_URL === undefined) return null;
  const replica = createDataSource({
    url: config.DATABASE_REPLICA_URL,
    applicationName: "paidonce-api-lists",
    isStandby: true,
  });
  return new Replica({ replica, primary, logger, maxLagMs: 1000 * config.DATABASE_REPLICA_MAX_LAG_SECONDS });
}

/** Connections for reading the status. What can't be reached is left so: that is what the status says. */
export async function openStatusSources(
  config: Config,
  logger: Logger,
  role = "status",
): Promise<StatusSources & { close(): Promise<void> }> {
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
    close: async () => {
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
