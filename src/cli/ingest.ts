import { hostname } from "node:os";
import type { Command } from "commander";
import { sharedLooks } from "../budget/shared-looks.js";
import { readConfig } from "../config.js";
import { ServerCondition } from "../horizon/condition.js";
import { LedgerWatch } from "../horizon/ledger-watch.js";
import { NetworkView } from "../horizon/network-view.js";
import { Ingest } from "../ingest/ingest.js";
import { createLogger } from "../logging.js";
import { ingestMetrics } from "../metrics/ingest-metrics.js";
import { createRegistry, horizonMetrics } from "../metrics/registry.js";
import { connectRedis } from "../redis/client.js";
import { checkRedis } from "./check-servers.js";
import { openDatabase } from "./open-database.js";
import { openHorizon, redisTarget } from "./open-servers.js";
import { observeRole, openRoleServer, runRole, startTracing } from "./run-role.js";

export function addIngestCommand(program: Command): void {
  program
    .command("ingest")
    .description("read the watched accounts' payments from Horizon into the streams; spare replicas stand by")
    .action(async () => {
      const config = readConfig(process.env);
      const logger = createLogger(config, "ingest");
      const registry = createRegistry();
      const server = await openRoleServer(config, logger, registry);
      const tracing = await startTracing(config, "ingest");
      const dataSource = await openDatabase(config, "ingest", logger);
      const redis = connectRedis(redisTarget(config), "paidonce-ingest", logger);
      await checkRedis(redis, logger, "paidonce:{probe}", ["streams"]);
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
      const name = `${hostname()}-${process.pid}`;
      const ingest = new Ingest({
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
      const observed = observeRole({
        logger,
        redis,
        role: "ingest",
        name,
        server,
        figures: metrics.figures,
      });
      await runRole(logger, ingest, [
        () => observed.stop(),
        () => tracing.stop(),
        () => redis.disconnect(),
        () => dataSource.destroy(),
      ]);
    });
}
