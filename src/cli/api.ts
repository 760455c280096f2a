import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import type { Command } from "commander";
import type { Logger } from "pino";
import { type Config, readConfig } from "../config.js";
import { createApp } from "../http/app.js";
import type { Sep7Signer } from "../http/checkout/sep7.js";
import { readOpsAccess } from "../http/ops/login.js";
import { createHttpServer } from "../http/server/http-server.js";
import { createLogger } from "../logging.js";
import { createRegistry, horizonMetrics, replicaMetrics } from "../metrics/registry.js";
import { startHeartbeat } from "../status/heartbeat.js";
import { SharedStatus } from "../status/shared-status.js";
import { checkRedis, secretKeysOf } from "./check-servers.js";
import { openAcceptors } from "./open-charge-providers.js";
import { openReplica, openStatusSources } from "./open-database.js";
import { openHorizon } from "./open-servers.js";
import { type Actor, runRole, startTracing } from "./run-role.js";

/** Requests under way have so long to end before connections are cut. */
const DRAIN_MS = 5_000;

export function addApiCommand(program: Command): void {
  program
    .command("api")
    .description("serve the API, its reference (/docs), the checkout page and the status on HOST and PORT")
    .action(async () => {
      const config = readConfig(process.env);
      const access = readOpsAccess(config);
      const logger = createLogger(config, "api");
      const sources = await openStatusSources(config, logger, "api");
      await checkRedis(sources.redis, logger, "paidonce:{probe}", []);
      const replica = openReplica(config, sources.dataSource, logger);
      const registry = createRegistry();
      if (replica !== null) replicaMetrics(registry, replica);
      const tracing = await startTracing(config, "api");
      const status = new SharedStatus(sources);
      const { koa } = createApp(
        {
          ...sources,
          ...(replica !== null && { replica }),
          horizon: openHorizon(config, logger, {
            redis: sources.redis,
            purpose: "check",
            observer: horizonMetrics(registry),
          }),
          adminKey: config.ADMIN_KEY,
          networkPassphrase: config.NETWORK_PASSPHRASE,
          sep7Signer: sep7SignerOf(config),
          acceptors: openAcceptors(config),
          limits: { perMerchant: config.RATE_LIMIT_PER_MERCHANT, perAddress: config.RATE_LIMIT_PER_ADDRESS },
          webhooks: {
            allowPrivate: config.WEBHOOK_ALLOW_PRIVATE,
            maxEndpoints: config.WEBHOOK_MAX_ENDPOINTS,
            secretKeys: secretKeysOf(config),
          },
          publicUrl: config.PUBLIC_URL ?? `http://${config.HOST}:${config.PORT}`,
          trustProxy: config.TRUST_PROXY,
          ...(config.STRIPE_WEBHOOK_SECRET === undefined
            ? {}
            : { stripeWebhookSecret: config.STRIPE_WEBHOOK_SECRET }),
          ops: { status, access, registry },
        },
        logger,
      );
      const server = createHttpServer(koa);
      replica?.start();
      status.start();
      const heartbeat = startHeartbeat({
        redis: sources.redis,
        role: "api",
        name: `${hostname()}-${process.pid}`,
        logger,
      });
      await runRole(logger, listening(server, config, logger), [
        () => status.stop(),
        () => heartbeat.stop(),
        () => tracing.stop(),
        async () => replica?.stop(),
        () => sources.close(),
      ]);
    });
}

/** Both or none: the configuration has seen to it. */
function sep7SignerOf(config: Config): Sep7Signer | null {
  const { SEP7_SIGNING_SECRET: secret, SEP7_ORIGIN_DOMAIN: originDomain } = config;
  return secret === undefined || originDomain === undefined ? null : { secret, originDomain };
}

function listening(server: Server, { HOST, PORT }: Config, logger: Logger): Actor {
  return {
    start: () =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(PORT, HOST, () => {
          const { port } = server.address() as AddressInfo;
          logger.info({ port }, `listening on http://${HOST}:${port}`);
          resolve();
        });
      }),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      // Streams to browsers never end by themselves.
      const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      server.closeIdleConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}
