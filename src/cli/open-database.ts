import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { type Config, ConfigError, readConfig, redactUrl } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { databaseFault } from "../postgres/database-errors.js";
import { Replica } from "../postgres/replica.js";
import { assertWritable } from "../postgres/serializable.js";
import { SettingsLostError } from "../postgres/strict-client.js";
import { refuseOtherNetwork, refuseUnfitPostgres } from "./check-servers.js";

export class NotMigratedError extends Error {
  override readonly name = "NotMigratedError";
}

/** For a person who waits for an answer: says what to do. */
export class DatabaseAwayError extends Error {
  override readonly name = "DatabaseAwayError";
}

/** How long a statement of a command may take, where it is longer than that of a role. */
type StatementTimeout = { readonly statementTimeoutMs?: number };

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
export async function openDatabaseNow(
  config: Config,
  command: string,
  options: StatementTimeout = {},
): Promise<DataSource> {
  const dataSource = newDataSource(config, command, options);
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

/** What a command works with. */
export type Opened = {
  readonly config: Config;
  readonly dataSource: DataSource;
  /** What the command opens beside the database is added here, and closed when it is done. */
  readonly closing: AsyncDisposableStack;
};

/**
 * Runs a command on the configured database, and closes all that it has opened.
 * @throws as `openDatabaseNow`
 */
export async function withDatabase(
  command: string,
  work: (opened: Opened) => Promise<void>,
  options?: StatementTimeout,
): Promise<void> {
  const config = readConfig(process.env);
  await using closing = new AsyncDisposableStack();
  const dataSource = await openDatabaseNow(config, command, options);
  closing.defer(() => dataSource.destroy());
  await work({ config, dataSource, closing });
}

function newDataSource(config: Config, role: string, options: StatementTimeout = {}): DataSource {
  return createDataSource({
    url: config.DATABASE_URL,
    applicationName: `paidonce-${role}`,
    // Statements must end before a lock can: a late COMMIT under a lost lock is what leases are about.
    statementTimeoutMs: Math.min(5_000, Math.floor(config.LOCK_LEASE_MS / 2)),
    ...options,
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
  return new Replica({ replica, primary, logger, maxLagMs: config.DATABASE_REPLICA_MAX_LAG_MS });
}
