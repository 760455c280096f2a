import type { Command } from "commander";
import type { DataSource } from "typeorm";
import { type Config, readConfig } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { migrate } from "../entities/migrate.js";
import { createLogger } from "../logging.js";
import { refuseOtherNetwork, refuseUnfitPostgres } from "./check-servers.js";

/**
 * Writes down which network the database is of. Only where somebody said so: the default is the public network, and a
 * migration that was given nothing but DATABASE_URL would bind a test's database to it for ever.
 */
async function sayNetwork(config: Config): Promise<void> {
  if (!process.env.NETWORK_PASSPHRASE) return;
  await withDatabase(config, (dataSource) => refuseOtherNetwork(dataSource, config, { claim: true }));
}

async function withDatabase(config: Config, work: (dataSource: DataSource) => Promise<void>): Promise<void> {
  const dataSource = createDataSource({
    url: config.DATABASE_URL,
    applicationName: "paidonce-migrate",
    poolSize: 2,
  });
  await dataSource.initialize();
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

export function addMigrateCommand(program: Command): void {
  program
    .command("migrate")
    .description(
      "bring the database up to this program's version; safe to run again, and from several places",
    )
    .action(async () => {
      const config = readConfig(process.env);
      const logger = createLogger(config, "migrate");
      // A pooler that shares sessions would give the lock of one migration to another.
      await withDatabase(config, refuseUnfitPostgres);
      const done = await migrate(config.DATABASE_URL);
      await sayNetwork(config);
      logger.info(
        { migrations: done },
        done.length === 0 ? "the database is up to date" : "database migrated",
      );
    });
}
