import type { Command } from "commander";
import { connectRedis } from "../consumers/redis-connections.js";
import { HorizonClient } from "../horizon/client.js";
import { Worker } from "../jobs/worker.js";
import { createLogger } from "../logging.js";
import { readEnvironment } from "./environment.js";
import { openDatabase } from "./open-database.js";
import { runRole } from "./run-role.js";

export function addWorkCommand(program: Command): void {
  program
    .command("work")
    .description("send webhooks and run the repeatable jobs; run as many replicas as you like")
    .action(async () => {
      const config = await readEnvironment();
      const logger = createLogger(config, "work");
      const dataSource = await openDatabase(config, "work", logger);
      const worker = new Worker({
        dataSource,
        logger,
        horizon: new HorizonClient({ url: config.HORIZON_URL }),
        webhooks: { allowPrivate: config.WEBHOOK_ALLOW_PRIVATE },
        connect: (name) =>
          connectRedis(config.REDIS_URL, name, logger, {
            // BullMQ's own rule: its blocking commands wait as long as they must.
            maxRetriesPerRequest: null,
            commandTimeout: undefined,
          }),
      });
      await runRole(logger, worker, [() => dataSource.destroy()]);
    });
}
