import type { Logger } from "pino";
import { within } from "../backoff.js";
import { sharedGovernor } from "../budget/shared-governor.js";
import type { Config } from "../config.js";
import { ClusterReader, OneServerReader, type StreamReader } from "../consumers/stream-reader.js";
import { HorizonClient } from "../horizon/client.js";
import type { Purpose, RequestObserver } from "../horizon/http.js";
import { SessionLocks, type SessionLocksOptions } from "../locks/session-locks.js";
import {
  connectBlockingRedis,
  connectLockServer,
  type RedisClient,
  type RedisTarget,
} from "../redis/client.js";

/** A server that says neither yes nor no, such as one that loads its data, holds up nothing for longer. */
const KNOWN_WITHIN_MS = 2_000;

/**
 * The locks on sessions, as configured, on connections of their own.
 * @param closing closes those connections
 */
export async function openLocks(
  config: Config,
  logger: Logger,
  closing: AsyncDisposableStack,
  onAsked?: SessionLocksOptions["onAsked"],
): Promise<SessionLocks> {
  const servers = await openLockServers(config, logger);
  for (const server of servers) closing.defer(() => server.disconnect());
  return new SessionLocks({
    servers,
    mode: config.LOCKS,
    leaseMs: config.LOCK_LEASE_MS,
    logger,
    ...(onAsked && { onAsked }),
  });
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

async function untilKnown(server: RedisClient): Promise<void> {
  if (server.status === "ready") return;
  const known = new Promise<void>((resolve) => {
    for (const event of ["ready", "error", "close"]) server.once(event, () => resolve());
  });
  await within(KNOWN_WITHIN_MS, known, undefined);
}

/** How long a read waits for new entries, in milliseconds; also how long a stop can take at rest. */
export const BLOCK_MS = 2_000;

const CONNECTION = "paidonce-consume-read";

/** Reads the streams in the consumer's name, on connections of its own: one in all, or of a cluster one for each stream. */
export function openReader(
  target: RedisTarget,
  consumer: string,
  logger: Logger,
  blockMs = BLOCK_MS,
): { reader: StreamReader; close: () => void } {
  const connect = () => connectBlockingRedis(target, CONNECTION, logger, blockMs);
  if (typeof target !== "string" && target.topology === "cluster") {
    // Its connections end with its last read.
    return { reader: new ClusterReader(connect, consumer, blockMs), close: () => undefined };
  }
  const redis = connect();
  return { reader: new OneServerReader(redis, consumer), close: () => redis.disconnect() };
}

type RedisConfig = Pick<Config, "REDIS_URL" | "REDIS_TOPOLOGY" | "REDIS_SENTINEL_MASTER">;

/** The Redis that holds streams and queues, as configured; the configuration has seen to it that all fits together. */
export function redisTarget({ REDIS_URL, REDIS_TOPOLOGY, REDIS_SENTINEL_MASTER }: RedisConfig): RedisTarget {
  switch (REDIS_TOPOLOGY) {
    case "single":
      return REDIS_URL[0] ?? "";
    case "cluster":
      return { topology: "cluster", urls: REDIS_URL };
    case "sentinel":
      return { topology: "sentinel", urls: REDIS_URL, master: REDIS_SENTINEL_MASTER ?? "" };
  }
}

export type HorizonOptions = {
  /** Where the budget of requests is shared; null for a command that has no Redis: it keeps to a small part. */
  readonly redis: RedisClient | null;
  readonly purpose: Purpose;
  readonly observer?: RequestObserver;
};

/** Horizon as configured, asked within the budget that all roles and replicas share. */
export function openHorizon(config: Config, logger: Logger, options: HorizonOptions): HorizonClient {
  const { redis, purpose, observer } = options;
  const { HORIZON_URL: url, HORIZON_REQUESTS_PER_HOUR: perHour } = config;
  return new HorizonClient({
    url,
    governor: sharedGovernor({ redis, url, perHour, logger }),
    purpose,
    ...(observer !== undefined && { observer }),
  });
}
