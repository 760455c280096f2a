import { type Callback, Cluster, type ClusterOptions, type Command, Redis, type RedisOptions } from "ioredis";
import type { Logger } from "pino";

/** A connection for commands, to one server or to a whole cluster. */
export type RedisClient = Redis | Cluster;

/** Which servers to reach, and how. One URL alone is one server. */
export type RedisTarget =
  | string
  | { readonly topology: "single"; readonly urls: readonly [string] }
  /** Some of the cluster's nodes: the others are learned from them. */
  | { readonly topology: "cluster"; readonly urls: readonly string[] }
  /** The sentinels, and the name by which they know the server. */
  | { readonly topology: "sentinel"; readonly urls: readonly string[]; readonly master: string };

/** Whether keys of different hash tags may be on different servers, and can't go into one command. */
export function isCluster(client: RedisClient): client is Cluster {
  return client instanceof Cluster;
}

/** Wait between attempts to reconnect: quickly at first, never longer than 2 s, for as long as it takes. */
const reconnectDelay = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000);

/**
 * A cluster's map of slots is asked for again this often: a node that hangs says nothing about its successor, and a
 * client that waits for a hint would ask the dead one for ever.
 */
const SLOTS_REFRESH_MS = 2_000;

/**
 * A connection for commands that answer at once. While the server is away commands fail within seconds
 * instead of queueing without end: the caller's loop decides what to do.
 */
export function connectRedis(target: string, name: string, logger: Logger, options?: RedisOptions): Redis;
export function connectRedis(
  target: RedisTarget,
  name: string,
  logger: Logger,
  options?: RedisOptions,
): RedisClient;
export function connectRedis(
  target: RedisTarget,
  name: string,
  logger: Logger,
  options: RedisOptions = {},
): RedisClient {
  const settings: RedisOptions = {
    connectionName: name,
    commandTimeout: 5_000,
    connectTimeout: 5_000,
    maxRetriesPerRequest: 1,
    retryStrategy: reconnectDelay,
    // A replica that was promoted away answers READONLY for ever on the old connection.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
    enableAutoPipelining: false,
    ...options,
  };
  const client = open(target, settings);
  let isDown = false;
  // Without a listener ioredis prints every failed attempt; one line per outage is enough.
  client.on("error", (error) => {
    if (isDown) return;
    isDown = true;
    logger.warn({ err: error, connection: name }, "redis is unreachable; reconnecting");
  });
  client.on("ready", () => {
    if (isDown) logger.info({ connection: name }, "redis is back");
    isDown = false;
  });
  return client;
}

/**
 * A connection for blocking reads alone: one waiting XREADGROUP would hold up every other command. A
 * dropped socket can hang for ever, so each read carries its own time-out.
 * @param blockMs the BLOCK that will be used
 */
export function connectBlockingRedis(
  target: RedisTarget,
  name: string,
  logger: Logger,
  blockMs: number,
): RedisClient {
  return connectRedis(target, name, logger, { commandTimeout: blockMs + 5_000 });
}

/** A lock server: it answers now or it does not count, so nothing queues and nothing is retried. */
export function connectLockServer(target: RedisTarget, logger: Logger): RedisClient {
  return connectRedis(target, "paidonce-locks", logger, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 500,
    connectTimeout: 1_000,
  });
}

/** BullMQ's own rule: its blocking commands wait as long as they must, and are repeated until they are heard. */
export function connectJobsRedis(target: RedisTarget, name: string, logger: Logger): RedisClient {
  return connectRedis(target, name, logger, { maxRetriesPerRequest: null, commandTimeout: undefined });
}

function open(target: RedisTarget, settings: RedisOptions): RedisClient {
  if (typeof target === "string") return new Redis(target, settings);
  const { topology, urls } = target;
  switch (topology) {
    case "single":
      return new Redis(urls[0], settings);
    case "cluster":
      return openCluster(urls, settings);
    case "sentinel":
      return new Redis({
        ...settings,
        ...accessOf(urls),
        ...sentinelAccessOf(urls),
        sentinels: urls.map(addressOf),
        name: target.master,
        sentinelRetryStrategy: reconnectDelay,
        // A master that hangs keeps its connections: only the sentinels say that another one has taken over.
        failoverDetector: true,
      });
  }
}

function openCluster(urls: readonly string[], settings: RedisOptions): Cluster {
  const { retryStrategy, maxRetriesPerRequest, enableOfflineQueue = true, ...ofNodes } = settings;
  return new BoundedCluster(urls.map(addressOf), {
    clusterRetryStrategy: reconnectDelay,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    enableOfflineQueue,
    // Many tries for those who wait for ever, and for a lock server none.
    ...(maxRetriesPerRequest === 0 ? { maxRedirections: 3, retryDelayOnFailover: 0 } : {}),
    redisOptions: { ...ofNodes, ...accessOf(urls) },
  });
}

/** A client of a cluster that gives commands a time-out from the start, and that ends when it is closed. */
class BoundedCluster extends Cluster {
  readonly #nodes: { host: string; port: number }[];
  readonly #withinMs: number | undefined;
  #isClosed = false;

  constructor(nodes: { host: string; port: number }[], options: ClusterOptions) {
    super(nodes, options);
    this.#nodes = nodes;
    this.#withinMs = options.redisOptions?.commandTimeout;
  }

  /**
   * ioredis keeps commands in a queue while it knows no node, without an end: the time-out of each connection begins when
   * there is one. Here it begins at once.
   */
  override sendCommand(command: Command, ...rest: [stream?: never, node?: unknown]): unknown {
    // Commands of a pipeline come with their node, and are waited for together.
    if (this.#withinMs !== undefined && rest[1] === undefined) command.setTimeout(this.#withinMs);
    return super.sendCommand(command, ...rest);
  }

  /**
   * Every refresh starts the timer of the next one when it is over. A refresh that was under way when the client was
   * closed would do so too, for ever, and no process that holds such a client could end by itself. The status does not say
   * that a client was closed: one that knew no node then stays at "disconnecting".
   */
  override refreshSlotsCache(callback?: (error?: Error | null) => void): void {
    super.refreshSlotsCache((error) => {
      if (!this.#isClosed) callback?.(error);
    });
  }

  override disconnect(reconnect = false): void {
    this.#isClosed = !reconnect;
    super.disconnect(reconnect);
  }

  override quit(callback?: Callback<"OK">): Promise<"OK"> {
    this.#isClosed = true;
    return super.quit(callback);
  }

  /** BullMQ makes its blocking connections so. */
  override duplicate(nodes: { host: string; port: number }[] = [], options: ClusterOptions = {}): Cluster {
    return new BoundedCluster(nodes.length > 0 ? nodes : this.#nodes, { ...this.options, ...options });
  }
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 6379 : Number(port) };
}

/** What the first of several URLs says holds for all: user, password, and whether the connection is encrypted. */
function accessOf(urls: readonly string[]): RedisOptions {
  const { username, password, protocol } = new URL(urls[0] ?? "");
  return {
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
    ...(protocol === "rediss:" && { tls: {} }),
  };
}

function sentinelAccessOf(urls: readonly string[]): RedisOptions {
  const { username, password, tls } = accessOf(urls);
  return {
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  };
}
