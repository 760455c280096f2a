import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";

/** What a role without an API answers over HTTP: its figures, and the probes of whoever runs it. */
export type RoleServer = {
  /** The one it listens on, also where a free one was asked for. */
  readonly port: number;
  /** From now on, for as long as the process lives, `GET /startupz` says yes. */
  becameReady(): void;
  close(): void;
};

/**
 * Serves `GET /metrics`, `GET /healthz` and `GET /startupz`, and nothing else.
 *
 * - `/healthz`: the process answers, so its event loop turns. Asks no server: while Postgres or Redis is away a role has
 *   to wait, and one that is killed for it would only have to begin anew.
 * - `/startupz`: the role has begun its work once. It does not take that back: nobody sends it requests, and an outage that
 *   all replicas share must not look as if their release had failed.
 *
 * @param port 0 takes a free one
 * @throws the server's error, such as EADDRINUSE
 */
export async function serveRole(registry: Registry, port: number, host: string): Promise<RoleServer> {
  let hasStarted = false;
  const server = createServer(async (request, response) => {
    const json = (status: number, word: string) =>
      response
        .writeHead(status, { "Content-Type": "application/json" })
        .end(JSON.stringify({ status: word }));
    if (request.method !== "GET") return response.writeHead(404).end();
    switch (request.url) {
      case "/healthz":
        return json(200, "alive");
      case "/startupz":
        return hasStarted ? json(200, "started") : json(503, "starting");
      case "/metrics":
        try {
          const text = await registry.metrics();
          return response.writeHead(200, { "Content-Type": registry.contentType }).end(text);
        } catch {
          return response.writeHead(500).end();
        }
      default:
        return response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  // A role that gives up before it has begun, for a database that is not migrated say, must end, not stay for its probes.
  server.unref();
  server.on("connection", (socket) => socket.unref());
  return {
    port: (server.address() as AddressInfo).port,
    becameReady: () => {
      hasStarted = true;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
