import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { type Config, redactUrl } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { databaseFault } from "../entities/database-errors.js";

export class NotMigratedError extends Error {
  override readonly name = "NotMigratedError";
}

/** Longest pause between two tries to reach a database that is away. */
const MAX_PAUSE_MS = 2_000;

/**
 * Connects to Postgres; while it can't be reached, says so once and keeps trying: a role that gives up
 * because the database restarts would need somebody to start it again.
 *
 * @throws NotMigratedError when the tables are missing or older than this program
 */
export async function openDatabase(config: Config, role: string, logger: Logger): Promise<DataSource> {
  const dataSource = createDataSource({
    url: config.DATABASE_URL,
    applicationName: `paidonce-${role}`,
    // Statements must end before a lock can: a late COMMIT under a lost lock is what leases are about.
    statementTimeoutMs: Math.min(5_000, Math.floor(config.LOCK_LEASE_MS / 2)),
  });
  for (let failures = 0; ; failures++) {
    try {
      await dataSource.initialize();
      break;
    } catch (error) {
      if (databaseFault(error) !== "unavailable") throw error;
      if (failures === 0) {
        logger.warn(
          { err: error, database: redactUrl(config.DATABASE_URL) },
          "Postgres is away; waiting for it",
        );
      }
      await sleep(Math.min(MAX_PAUSE_MS, 100 * 2 ** failures));
    }
  }
  if (await dataSource.showMigrations()) {
    await dataSource.destroy();
    throw new NotMigratedError("the database is older than this program: run `paidonce migrate` first");
  }
  return dataSource;
}
