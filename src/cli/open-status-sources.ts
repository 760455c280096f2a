import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { type Config, ConfigError } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { connectRedis } from "../redis/client.js";
import type { StatusSources } from "../status/collect-status.js";
import { statusLimits } from "../status/status.js";
import { refuseUnfitPostgres } from "./check-postgres.js";
import { EXIT } from "./exit-codes.js";
import { openLockServers, redisTarget } from "./open-locks.js";
import { refuseOtherNetwork } from "./refuse-other-network.js";

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
