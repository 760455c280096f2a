/**
 * src/consumers: everything between Horizon and settlement. Ingest appends credits to a Redis stream per
 * account; consumers read it as one group and settle. Redis may lose all of it at any moment: what holds is
 * in Postgres, and ingest starts again from there. Nothing beneath this folder knows about streams.
 */
import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "pino";

/** Wait between attempts to reconnect: quickly at first, never longer than 2 s, for as long as it takes. */
const reconnectDelay = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000);

/**
 * A connection for commands that answer at once. While the server is away commands fail within seconds
 * instead of queueing without end: the caller's loop decides what to do.
 */
export function connectRedis(url: string, name: string, logger: Logger, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    commandTimeout: 5_000,
    connectTimeout: 5_000,
    maxRetriesPerRequest: 1,
    retryStrategy: reconnectDelay,
    // A replica that was promoted away answers READONLY for ever on the old connection.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
    enableAutoPipelining: false,
    ...options,
  });
  let isDown = false;
  // Without a listener ioredis prints every failed attempt; one line per outage is enough.
  redis.on("error", (error) => {
    if (isDown) return;
    isDown = true;
    logger.warn({ err: error, connection: name }, "redis is unreachable; reconnecting");
  });
  redis.on("ready", () => {
    if (isDown) logger.info({ connection: name }, "redis is back");
    isDown = false;
  });
  return redis;
}

/**
 * A connection for blocking reads alone: one waiting XREADGROUP would hold up every other command. A
 * dropped socket can hang for ever, so each read carries its own time-out.
 * @param blockMs the BLOCK that will be used
 */
export function connectBlockingRedis(url: string, name: string, logger: Logger, blockMs: number): Redis {
  return connectRedis(url, name, logger, { commandTimeout: blockMs + 5_000 });
}

/** A lock server: it answers now or it does not count, so nothing queues and nothing is retried. */
export function connectLockServer(url: string, logger: Logger): Redis {
  return connectRedis(url, "paidonce-locks", logger, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 500,
    connectTimeout: 1_000,
  });
}
