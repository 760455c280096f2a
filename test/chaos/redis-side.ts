import { Cluster, Redis } from "ioredis";
import type { RedisClient } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { RedisCluster } from "../support/backends/redis-cluster.js";
import { killQuietly } from "../support/kill.js";

export const REDIS_KINDS = ["single", "cluster"] as const;
export type RedisKind = (typeof REDIS_KINDS)[number];

/** What holds streams and jobs: one server alone, or a cluster. Neither keeps anything on disk. */
export type ChaosRedis = RedisServer | RedisCluster;

type Stands = { readonly servers: { readonly redis: ChaosRedis } };

export async function startRedisSide(kind: RedisKind): Promise<ChaosRedis> {
  if (kind === "cluster") return RedisCluster.start({ isQuick: true });
  return startRedis({ appendonly: false, settings: { dbfilename: "dump.rdb" } });
}

/** What the faults of one server alone are for. */
export function isAlone({ servers }: Stands): boolean {
  return !(servers.redis instanceof RedisCluster);
}

/** What the faults of a cluster are for. */
export function isClustered({ servers }: Stands): boolean {
  return servers.redis instanceof RedisCluster;
}

/** @throws Error where a run has a cluster */
export function aloneOf({ servers }: Stands): RedisServer {
  if (servers.redis instanceof RedisCluster) throw new Error("Redis is a cluster here");
  return servers.redis;
}

/** @throws Error where a run has one server alone */
export function clusterOf({ servers }: Stands): RedisCluster {
  if (servers.redis instanceof RedisCluster) return servers.redis;
  throw new Error("there is no cluster: run it with --redis cluster");
}

/** How a role in a process of its own reaches it, past every link. */
export function environmentOf(redis: ChaosRedis): Record<string, string> {
  if (redis instanceof RedisCluster) return { REDIS_URL: redis.urls.join(), REDIS_TOPOLOGY: "cluster" };
  return { REDIS_URL: redis.url };
}

/** Everything in it is gone. */
export async function flushRedis(redis: ChaosRedis): Promise<void> {
  if (redis instanceof RedisCluster) return redis.flush();
  await onRedis(redis, (client) => client.flushall());
}

/** Ends what a fault has left: paused processes go on, dead ones start again. */
export async function reviveRedis(redis: ChaosRedis): Promise<void> {
  if (redis instanceof RedisCluster) return redis.revive();
  killQuietly(redis.pid, "SIGCONT");
  await onRedis(redis, (client) => client.ping()).catch(() => redis.restart());
}

/** Runs commands on a connection of its own. @throws when the server is away */
export async function onRedis<T>(redis: ChaosRedis, ask: (client: RedisClient) => Promise<T>): Promise<T> {
  const client = redis instanceof RedisCluster ? clusterClient(redis) : serverClient(redis);
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await ask(client);
  } finally {
    client.disconnect();
  }
}

function serverClient({ url }: RedisServer): Redis {
  return new Redis(url, { lazyConnect: true, retryStrategy: () => null, commandTimeout: 10_000 });
}

function clusterClient({ nodes }: RedisCluster): Cluster {
  return new Cluster(
    nodes.map(({ port }) => ({ host: "127.0.0.1", port })),
    { lazyConnect: true, clusterRetryStrategy: () => null, redisOptions: { commandTimeout: 10_000 } },
  );
}
