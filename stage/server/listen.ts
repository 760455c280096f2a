import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

export type LocalServer = {
  readonly url: string;
  readonly port: number;
  /** Closes every connection; resolves when nothing is left that keeps the process alive. */
  stop(): Promise<void>;
};

/**
 * Starts an HTTP server on 127.0.0.1 only.
 * @param port 0 takes a free one
 * @throws Error when the port is taken
 */
export async function listenLocally(port: number, answer: RequestListener): Promise<LocalServer> {
  const server = createServer(answer);
  // Node's five seconds would close a pooled connection just as a client reuses it.
  server.keepAliveTimeout = 65_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${taken}`,
    port: taken,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
