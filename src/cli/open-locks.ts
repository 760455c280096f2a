import type { Logger } from "pino";
import type { Config } from "../config.js";
import { SessionLocks, type SessionLocksOptions } from "../locks/session-locks.js";
import type { RedisClient } from "../redis/client.js";
import { connectLockServer } from "../redis/connect.js";
import { redisTarget } from "./redis-target.js";

/** A server that says neither yes nor no, such as one that loads its data, holds up nothing for longer. */
const KNOWN_WITHIN_MS = 2_000;

/** The locks on sessions, as configured, on connections of their own. */
export async function openLocks(
  config: Config,
  logger: Logger,
  onAsked?: SessionLocksOptions["onAsked"],
): Promise<{ locks: SessionLocks; close: () => void }> {
  const servers = await openLockServers(config, logger);
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

/**
 * Connections to the lock servers; none with locks off.
 * @returns when each is there, or known not to be: they queue nothing, so whoever asked before would find no quorum
 */
export async function openLockServers(config: Config, logger: Logger): Promise<RedisClient[]> {
  const targets = config.LOCKS === "off" ? [] : (config.LOCK_REDIS_URLS ?? [redisTarget(config)]);
  const servers = targets.map((target) => connectLockServer(target, logger));
  await Promise.all(servers.map(untilKnown));
  return servers;
}

function untilKnown(server: RedisClient): Promise<void> {
  return new Promise((resolve) => {
    const known = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(known, KNOWN_WITHIN_MS);
    if (server.status === "ready") return known();
    for (const event of ["ready", "error", "close"]) server.once(event, known);
  });
}
