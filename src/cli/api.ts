import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import type { Command } from "commander";
import type { Logger } from "pino";
import { type Config, publicUrlOf, readConfig } from "../config.js";
import { createApp } from "../http/app.js";
import type { Sep7Signer } from "../http/checkout/sep7.js";
import { readOpsAccess } from "../http/ops/login.js";
import { createHttpServer } from "../http/server/http-server.js";
import { createLogger } from "../logging.js";
import { createRegistry, horizonMetrics, replicaMetrics } from "../metrics/registry.js";
import { startHeartbeat } from "../status/heartbeat.js";
import { SharedStatus } from "../status/shared-status.js";
import { checkRedis } from "./check-servers.js";
import { openAcceptors } from "./open-charge-providers.js";
import { openReplica } from "./open-database.js";
import { openHorizon } from "./open-servers.js";
import { type Actor, runRole, startTracing } from "./run-role.js";
import { openStatusSources } from "./status.js";
import { secretKeysOf } from "./webhooks.js";

/** Requests under way have so long to end before connections are cut. */
const DRAIN_MS = 5_000;

export function addApiCommand(program: Command): void {
  program
    .command("api")
    .description("serve the API, its reference (/docs), the checkout page and the status on HOST and PORT")
    .action(api);
}

async function api(): Promise<void> {
  const config = readConfig(process.env);
  const access = readOpsAccess(config);
  const logger = createLogger(config, "api");
  const closing = new AsyncDisposableStack();
  const sources = closing.use(await openStatusSources(config, logger, "api"));
  const { redis } = sources;
  await checkRedis(redis, logger, "paidonce:{probe}", []);
  const replica = openReplica(config, sources.dataSource, logger);
  closing.defer(() => replica?.stop());
  const registry = createRegistry();
  if (replica !== null) replicaMetrics(registry, replica);
  const tracing = await startTracing(config, "api");
  closing.defer(() => tracing.stop());
  const status = new SharedStatus(sources);
  const { koa } = createApp(
    {
      ...sources,
      ...(replica !== null && { replica }),
      horizon: openHorizon(config, logger, { redis, purpose: "check", observer: horizonMetrics(registry) }),
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
      publicUrl: publicUrlOf(config),
      trustProxy: config.TRUST_PROXY,
      stripeWebhookSecret: config.STRIPE_WEBHOOK_SECRET,
      ops: { status, access, registry },
    },
    logger,
  );
  replica?.start();
  const heartbeat = startHeartbeat({ redis, role: "api", name: `${hostname()}-${process.pid}`, logger });
  closing.defer(() => heartbeat.stop());
  status.start();
  closing.defer(() => status.stop());
  await runRole(logger, listening(createHttpServer(koa), config, logger), closing);
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
