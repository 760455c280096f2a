import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { listenBefore } from "../test/support/cutting-proxy.js";

/** What node-postgres sends to commit: a simple query of its own. */
const COMMIT = Buffer.from("COMMIT\0");

/**
 * A TCP link to Postgres that is `ms` slower for each transaction and for nothing else: a COMMIT arrives so much later, as
 * on a network with that round trip. Everything else goes through as it comes.
 */
export async function slowCommit(
  databaseUrl: string,
  ms: number,
): Promise<AsyncDisposable & { readonly url: string }> {
  const target = new URL(databaseUrl);
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const end = () => {
      for (const socket of [client, upstream]) {
        socket.destroy();
        open.delete(socket);
      }
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end).on("close", end);
    }
    upstream.on("data", (data) => client.write(data));
    client.on(
      "data",
      inOrder(ms, (data) => upstream.write(data)),
    );
  });
  return {
    url: await listenBefore(databaseUrl, server),
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Passes chunks on in order, one that commits only after `ms`, and what follows it behind it. */
function inOrder(ms: number, pass: (data: Buffer) => void): (data: Buffer) => void {
  let waiting: Buffer[] | null = null;
  return (data) => {
    if (waiting !== null) {
      waiting.push(data);
      return;
    }
    if (!data.includes(COMMIT)) {
      pass(data);
      return;
    }
    const held = [data];
    waiting = held;
    setTimeout(() => {
      waiting = null;
      for (const chunk of held) pass(chunk);
    }, ms);
  };
}
