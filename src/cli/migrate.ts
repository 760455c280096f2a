import type { Command } from "commander";
import { migrate } from "../entities/migrate.js";
import { createLogger } from "../logging.js";
import { readEnvironment } from "./environment.js";

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
      logger.info(
        { migrations: done },
        done.length === 0 ? "the database is up to date" : "database migrated",
      );
    });
}
