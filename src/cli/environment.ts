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
  // Set to nothing counts as not set here too: it must not hide the address of a running `up`.
  const given = Object.entries(process.env).filter(([, value]) => value !== "");
  return readConfig({ ...(await readAddresses(DATA_FOLDER)), ...Object.fromEntries(given) });
}
