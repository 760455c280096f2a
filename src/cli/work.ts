import type { Command } from "commander";
import { PREFIX } from "../jobs/queue.js";
import { Worker } from "../jobs/worker.js";
import { chargeMetrics, horizonMetrics, recoveryMetrics } from "../metrics/registry.js";
import { connectJobsRedis } from "../redis/client.js";
import { checkRedis } from "./check-servers.js";
import { openChargeProviders } from "./open-charge-providers.js";
import { openHorizon, openLocks, redisTarget } from "./open-servers.js";
import { openRole } from "./run-role.js";
import { requireSecretKeys, secretKeysOf } from "./webhooks.js";

export function addWorkCommand(program: Command): void {
  program
    .command("work")
    .description("make charges, send webhooks and run the repeatable jobs; run as many replicas as you like")
    .action(work);
}

async function work(): Promise<void> {
  const role = await openRole("work");
  const { config, logger, registry, dataSource, redis, tracing } = role;
  const secretKeys = secretKeysOf(config);
  await requireSecretKeys(dataSource, secretKeys);
  await checkRedis(redis, logger, PREFIX, ["jobs"]);
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
      locks: await openLocks(config, logger, role.closing),
      redis,
      afterSeconds: config.RECOVERY_AFTER_SECONDS,
      maxDeliveries: config.MAX_DELIVERIES,
      everySeconds: config.RECOVERY_EVERY_SECONDS,
      onFinding,
    },
    charges: {
      providers: await openChargeProviders(config, horizon.withPurpose("submission"), dataSource),
      timeoutMs: config.CHARGE_TIMEOUT_MS,
      observer: chargeMetrics(registry),
      onFinding,
    },
    webhooks: { allowPrivate: config.WEBHOOK_ALLOW_PRIVATE, secretKeys },
    connect: (name) => connectJobsRedis(redisTarget(config), name, logger),
  });
  await role.run(worker);
}
