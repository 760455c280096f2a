import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import type { Config } from "../config.js";
import { createDataSource } from "../entities/data-source.js";
import { Replica } from "../http/replica.js";

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
