import type { Command } from "commander";
import type { Config } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { migrate } from "../entities/migrate.js";
import { createLogger } from "../logging.js";
import { readEnvironment } from "./environment.js";
import { refuseOtherNetwork } from "./refuse-other-network.js";

/**
 * Writes down which network the database is of. Only where somebody said so: the default is the public network, and a
 * migration that was given nothing but DATABASE_URL would bind a test's database to it for ever.
 */
async function sayNetwork(config: Config): Promise<void> {
  if (!process.env.NETWORK_PASSPHRASE) return;
  const dataSource = createDataSource({
    url: config.DATABASE_URL,
    applicationName: "paidonce-migrate",
    poolSize: 1,
  });
  await dataSource.initialize();
  try {
    await refuseOtherNetwork(dataSource, config, { claim: true });
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
      const config = await readEnvironment();
      const logger = createLogger(config, "migrate");
      const done = await migrate(config.DATABASE_URL);
      await sayNetwork(config);
      logger.info(
        { migrations: done },
        done.length === 0 ? "the database is up to date" : "database migrated",
      );
    });
}
