import type { Logger } from "pino";
import type { Config } from "../config.js";
import { connectLockServer, connectRedis } from "../consumers/redis-connections.js";
import { createDataSource } from "../entities/data-source.js";
import type { StatusSources } from "../status/collect-status.js";

/** Connections for reading the status. What can't be reached is left so: that is what the status says. */
export async function openStatusSources(
  config: Config,
  logger: Logger,
): Promise<StatusSources & { close(): Promise<void> }> {
  const dataSource = createDataSource({
    url: config.DATABASE_URL,
    applicationName: "paidonce-status",
    poolSize: 3,
  });
  await dataSource.initialize().catch((error: unknown) => logger.warn({ err: error }, "Postgres is away"));
  const redis = connectRedis(config.REDIS_URL, "paidonce-status", logger);
  const lockUrls = config.LOCKS === "off" ? [] : (config.LOCK_REDIS_URLS ?? [config.REDIS_URL]);
  const lockServers = lockUrls.map((url) => connectLockServer(url, logger));
  // Lock connections queue nothing: wait until each is there, or known not to be.
  await Promise.all(
    lockServers.map(
      (server) =>
        new Promise<void>((resolve) => {
          if (server.status === "ready") resolve();
          server.once("ready", () => resolve());
          server.once("error", () => resolve());
        }),
    ),
  );
  return {
    dataSource,
    redis,
    lockServers,
    lockMode: config.LOCKS,
    close: async () => {
      for (const connection of [redis, ...lockServers]) connection.disconnect();
      if (dataSource.isInitialized) await dataSource.destroy();
    },
  };
}
