import { type Config, readConfig } from "../config.js";
import { DATA_FOLDER, readAddresses } from "../up/data-folder.js";

/** The three servers that the roles need. */
export const SERVERS = ["DATABASE_URL", "REDIS_URL", "HORIZON_URL"] as const;

/**
 * The configuration from the environment; where it names none of the servers, from the `paidonce up` that
 * runs in this folder, so that `paidonce status` in another terminal just works.
 * @throws ConfigError
 */
export async function readEnvironment(): Promise<Config> {
  if (SERVERS.some((name) => process.env[name])) return readConfig(process.env);
  return readConfig({ ...(await readAddresses(DATA_FOLDER)), ...process.env });
}
