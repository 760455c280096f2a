import { hostname } from "node:os";
import type { Command } from "commander";
import { v4 as uuidv4 } from "uuid";
import { Consumer } from "../consumers/consumer.js";
import { consumerMetrics } from "../metrics/consumer-metrics.js";
import { BLOCK_MS, openLocks, openReader, redisTarget } from "./open-servers.js";
import { openRole } from "./run-role.js";

export function addConsumeCommand(program: Command): void {
  program
    .command("consume")
    .description("settle credits from the streams; run as many replicas as you like")
    .action(consume);
}

async function consume(): Promise<void> {
  // Unique for ever: a name that came back would take over what its predecessor left pending, unseen.
  const name = `${hostname()}-${process.pid}-${uuidv4().slice(0, 8)}`;
  const role = await openRole("consume", name);
  const { config, logger, redis, dataSource, closing } = role;
  const { reader, close } = openReader(redisTarget(config), name, logger);
  closing.defer(close);
  const metrics = consumerMetrics(role.registry);
  const locks = await openLocks(config, logger, closing, metrics.locksAsked);
  const consumer = new Consumer({
    redis,
    reader,
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
  await role.run(consumer, () => {
    const { acquired, contended, noQuorum } = locks.status();
    return {
      locks_acquired: acquired,
      locks_contended: contended,
      locks_no_quorum: noQuorum,
      ...consumer.figures(),
    };
  });
}
