import { Cluster, type Redis } from "ioredis";

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
