import type { Config } from "../config.js";
import type { RedisTarget } from "../redis/client.js";

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
