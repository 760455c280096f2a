import type { Command } from "commander";
import { sharedLooks } from "../budget/shared-looks.js";
import { ServerCondition } from "../horizon/condition.js";
import { LedgerWatch } from "../horizon/ledger-watch.js";
import { NetworkView } from "../horizon/network-view.js";
import { Ingest } from "../ingest/ingest.js";
import { ingestMetrics } from "../metrics/ingest-metrics.js";
import { horizonMetrics } from "../metrics/registry.js";
import { connectRedis } from "../redis/client.js";
import { openHorizon, redisTarget } from "./open-servers.js";
import { openRole } from "./run-role.js";

export function addIngestCommand(program: Command): void {
  program
    .command("ingest")
    .description("read the watched accounts' payments from Horizon into the streams; spare replicas stand by")
    .action(ingest);
}

async function ingest(): Promise<void> {
  const role = await openRole("ingest");
  const { config, name, logger, registry, redis, dataSource } = role;
  const observer = horizonMetrics(registry);
  const horizon = openHorizon(config, logger, { redis, purpose: "feed", observer });
  const network = new NetworkView(horizon, config.NETWORK_PASSPHRASE);
  const listening = connectRedis(redisTarget(config), "paidonce-ingest-ledgers", logger);
  const condition = new ServerCondition();
  const ledgers = new LedgerWatch({
    client: horizon,
    network,
    logger,
    looks: sharedLooks(redis, listening, config.HORIZON_URL, logger),
    mostMs: config.INGEST_POLL_MS,
    condition,
  });
  const metrics = ingestMetrics(registry, {
    newest: () => ledgers.newest(),
    condition: () => condition.current,
  });
  const actor = new Ingest({
    redis,
    dataSource,
    horizon,
    network,
    ledgers,
    logger,
    name,
    observer: metrics,
    networkMode: {
      mode: config.NETWORK_MODE,
      requestsPerHour: config.HORIZON_REQUESTS_PER_HOUR,
      streams: config.NETWORK_STREAMS,
    },
  });
  await role.run(actor, metrics.figures);
}
