/**
 * src/metrics: figures for Prometheus. Roles call observers (src/consumers/observers.ts) that know nothing of it;
 * nothing here decides anything. Every name begins with `paidonce_`; ops/ has a dashboard and alerts that use them.
 */
import { createServer, type Server } from "node:http";
import { collectDefaultMetrics, Registry } from "prom-client";

/** The figures of one process, with those of Node itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "paidonce_" });
  return registry;
}

/**
 * Serves `GET /metrics` and nothing else.
 * @param port 0 takes a free one
 * @throws the server's error, such as EADDRINUSE
 */
export async function serveMetrics(registry: Registry, port: number, host: string): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") return response.writeHead(404).end();
    try {
      const text = await registry.metrics();
      return response.writeHead(200, { "Content-Type": registry.contentType }).end(text);
    } catch {
      return response.writeHead(500).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return server;
}
