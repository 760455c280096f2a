import type { Logger } from "pino";
import { ClusterReader, OneServerReader, type StreamReader } from "../consumers/stream-reader.js";
import type { RedisTarget } from "../redis/client.js";
import { connectBlockingRedis } from "../redis/connect.js";

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
