import { hostname } from "node:os";
import type { Command } from "commander";
import { readConfig } from "../config.js";
import { PREFIX } from "../jobs/queue.js";
import { Worker } from "../jobs/worker.js";
import { createLogger } from "../logging.js";
import { chargeMetrics, createRegistry, horizonMetrics, recoveryMetrics } from "../metrics/registry.js";
import { connectJobsRedis, connectRedis } from "../redis/client.js";
import { checkRedis, requireSecretKeys, secretKeysOf } from "./check-servers.js";
import { openChargeProviders } from "./open-charge-providers.js";
import { openDatabase } from "./open-database.js";
import { openHorizon, openLocks, redisTarget } from "./open-servers.js";
import { observeRole, openRoleServer, runRole, startTracing } from "./run-role.js";

export function addWorkCommand(program: Command): void {
  program
    .command("work")
    .description("make charges, send webhooks and run the repeatable jobs; run as many replicas as you like")
    .action(async () => {
      const config = readConfig(process.env);
      const logger = createLogger(config, "work");
      const registry = createRegistry();
      const server = await openRoleServer(config, logger, registry);
      const tracing = await startTracing(config, "work");
      const dataSource = await openDatabase(config, "work", logger);
      const secretKeys = secretKeysOf(config);
      await requireSecretKeys(dataSource, secretKeys);
      const redis = connectRedis(redisTarget(config), "paidonce-work-heartbeat", logger);
      await checkRedis(redis, logger, "paidonce:{probe}", ["streams"]);
      await checkRedis(redis, logger, PREFIX, ["jobs"]);
      const { locks, close: closeLocks } = await openLocks(config, logger);
      const observer = horizonMetrics(registry);
      const horizon = openHorizon(config, logger, { redis, purpose: "check", observer });
      const onFinding = recoveryMetrics(registry);
      const worker = new Worker({
        dataSource,
        logger,
        horizon,
        telemetry: tracing.telemetry,
        recovery: {
          passphrase: config.NETWORK_PASSPHRASE,
          locks,
          redis,
          afterSeconds: config.RECOVERY_AFTER_SECONDS,
          maxDeliveries: config.MAX_DELIVERIES,
          everySeconds: config.RECOVERY_EVERY_SECONDS,
          onFinding,
        },
        charges: {
          providers: await openChargeProviders(config, horizon.withPurpose("submission"), dataSource),
          timeoutMs: config.CHARGE_TIMEOUT_SECONDS * 1_000,
          observer: chargeMetrics(registry),
          onFinding,
        },
        webhooks: { allowPrivate: config.WEBHOOK_ALLOW_PRIVATE, secretKeys },
        connect: (name) => connectJobsRedis(redisTarget(config), name, logger),
      });
      const observed = observeRole({
        logger,
        redis,
        role: "work",
        name: `${hostname()}-${process.pid}`,
        server,
      });
      await runRole(logger, worker, [
        () => observed.stop(),
        () => tracing.stop(),
        () => redis.disconnect(),
        closeLocks,
        () => dataSource.destroy(),
      ]);
    });
}
