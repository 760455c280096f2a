import type { Logger } from "pino";
import type { Config } from "../config.js";
import { connectLockServer } from "../consumers/redis-connections.js";
import { SessionLocks, type SessionLocksOptions } from "../locks/session-locks.js";

/** The locks on sessions, as configured, on connections of their own. */
export function openLocks(
  config: Config,
  logger: Logger,
  onAsked?: SessionLocksOptions["onAsked"],
): { locks: SessionLocks; close: () => void } {
  const urls = config.LOCKS === "off" ? [] : (config.LOCK_REDIS_URLS ?? [config.REDIS_URL]);
  const servers = urls.map((url) => connectLockServer(url, logger));
  const locks = new SessionLocks({
    servers,
    mode: config.LOCKS,
    leaseMs: config.LOCK_LEASE_MS,
    logger,
    ...(onAsked && { onAsked }),
  });
  return {
    locks,
    close: () => {
      for (const server of servers) server.disconnect();
    },
  };
}
