import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Config } from "../config.js";
import { serveMetrics } from "../metrics/registry.js";
import type { RedisClient } from "../redis/client.js";
import { startHeartbeat } from "../status/heartbeat.js";

export type ObservedRole = {
  readonly config: Config;
  readonly logger: Logger;
  readonly redis: RedisClient;
  readonly role: string;
  readonly name: string;
  readonly registry: Registry;
  readonly figures?: () => Readonly<Record<string, string | number>>;
};

/** Lets others see a role: its heartbeat, and its metrics where METRICS_PORT says so. Never keeps it from working. */
export async function observeRole(observed: ObservedRole): Promise<{ stop(): Promise<void> }> {
  const { config, logger, registry } = observed;
  const heartbeat = startHeartbeat(observed);
  const server =
    config.METRICS_PORT === undefined
      ? null
      : await serveMetrics(registry, config.METRICS_PORT, config.METRICS_HOST).catch((error: unknown) => {
          logger.error({ err: error }, "no metrics: METRICS_PORT can't be listened on; going on without");
          return null;
        });
  if (server !== null) {
    const { port } = server.address() as AddressInfo;
    logger.info({ port }, `metrics on http://${config.METRICS_HOST}:${port}/metrics`);
  }
  return {
    stop: async () => {
      await heartbeat.stop();
      server?.close();
      server?.closeAllConnections();
    },
  };
}
