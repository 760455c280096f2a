import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Config } from "../config.js";
import { type RoleServer, serveRole } from "../metrics/role-server.js";

/**
 * Serves a role's metrics and probes where METRICS_PORT says so. First of all that a role opens: one that waits for its
 * database is alive, and must be able to say so.
 * @returns null where it can't or is not wanted: that keeps no role from its work
 */
export async function openRoleServer(
  config: Config,
  logger: Logger,
  registry: Registry,
): Promise<RoleServer | null> {
  const { METRICS_PORT: port, METRICS_HOST: host } = config;
  if (port === undefined) return null;
  try {
    const server = await serveRole(registry, port, host);
    logger.info({ port: server.port }, `metrics on http://${host}:${server.port}/metrics`);
    return server;
  } catch (error) {
    logger.error({ err: error }, "no metrics: METRICS_PORT can't be listened on; going on without");
    return null;
  }
}
