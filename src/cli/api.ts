import { createServer } from "node:http";
import type { Command } from "commander";
import { createApp } from "../http/app.js";
import { createLogger } from "../logging.js";
import { readEnvironment } from "./environment.js";
import { openStatusSources } from "./open-status-sources.js";
import { runRole } from "./run-role.js";

export function addApiCommand(program: Command): void {
  program
    .command("api")
    .description("serve health, readiness and the status on HOST and PORT")
    .action(async () => {
      const config = await readEnvironment();
      const logger = createLogger(config, "api");
      const sources = await openStatusSources(config, logger);
      const server = createServer(createApp(sources, logger).callback());
      await runRole(
        logger,
        {
          start: () =>
            new Promise((resolve, reject) => {
              server.once("error", reject);
              server.listen(config.PORT, config.HOST, () => {
                logger.info(
                  { address: server.address() },
                  `listening on http://${config.HOST}:${config.PORT}`,
                );
                resolve();
              });
            }),
          stop: async () => {
            server.close();
            server.closeAllConnections();
          },
        },
        [() => sources.close()],
      );
    });
}
