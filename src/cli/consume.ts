import { hostname } from "node:os";
import type { Command } from "commander";
import { v4 as uuidv4 } from "uuid";
import { type Config, readConfig } from "../config.js";
import { Consumer } from "../consumers/consumer.js";
import { createLogger } from "../logging.js";
import { consumerMetrics } from "../metrics/consumer-metrics.js";
import { createRegistry } from "../metrics/registry.js";
import { connectRedis } from "../redis/client.js";
import { checkRedis } from "./check-servers.js";
import { openDatabase } from "./open-database.js";
import { BLOCK_MS, openLocks, openReader, redisTarget } from "./open-servers.js";
import { observeRole, openRoleServer, runRole, startTracing } from "./run-role.js";

export function addConsumeCommand(program: Command): void {
  program
    .command("consume")
    .description("settle credits from the streams; run as many replicas as you like")
    .action(async () => consume(readConfig(process.env)));
}

async function consume(config: Config): Promise<void> {
  // Unique for ever: a name that came back would take over what its predecessor left pending, unseen.
  const name = `${hostname()}-${process.pid}-${uuidv4().slice(0, 8)}`;
  const logger = createLogger(config, "consume").child({ consumer: name });
  const registry = createRegistry();
  const server = await openRoleServer(config, logger, registry);
  const tracing = await startTracing(config, "consume");
  const dataSource = await openDatabase(config, "consume", logger);
  const redis = connectRedis(redisTarget(config), "paidonce-consume", logger);
  await checkRedis(redis, logger, "paidonce:{probe}", ["streams"]);
  const reading = openReader(redisTarget(config), name, logger);
  const metrics = consumerMetrics(registry);
  const { locks, close: closeLocks } = await openLocks(config, logger, metrics.locksAsked);
  const consumer = new Consumer({
    redis,
    reader: reading.reader,
    dataSource,
    locks,
    logger,
    name,
    batch: config.CONSUMER_BATCH,
    claimIdleMs: config.CLAIM_IDLE_MS,
    maxDeliveries: config.MAX_DELIVERIES,
    blockMs: BLOCK_MS,
    observer: metrics,
  });
  const observed = observeRole({
    logger,
    redis,
    role: "consume",
    name,
    server,
    figures: () => {
      const { acquired, contended, noQuorum } = locks.status();
      return {
        locks_acquired: acquired,
        locks_contended: contended,
        locks_no_quorum: noQuorum,
        ...consumer.figures(),
      };
    },
  });
  await runRole(logger, consumer, [
    () => observed.stop(),
    () => tracing.stop(),
    () => redis.disconnect(),
    reading.close,
    closeLocks,
    () => dataSource.destroy(),
  ]);
}
