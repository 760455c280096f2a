import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Postgres' answer to a COMMIT that has happened: CommandComplete with this tag. */
const COMMITTED = "COMMIT\0";

export interface CuttingProxy {
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** How many answers to a COMMIT were lost so far. */
  cuts(): number;
  stop(): Promise<void>;
}

/**
 * A TCP proxy in front of Postgres that loses the first answers to COMMIT: the server has committed, the client
 * only sees its connection break.
 * @param answers how many answers to lose
 */
export async function loseCommitAnswers(databaseUrl: string, answers: number): Promise<CuttingProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const both = [client, upstream];
    const end = () => {
      for (const socket of both) socket.destroy();
    };
    for (const socket of both) {
      sockets.add(socket);
      socket.on("error", end).on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.pipe(upstream);
    upstream.on("data", (data: Buffer) => {
      if (cuts < answers && data.includes(COMMITTED)) {
        cuts++;
        end();
        return;
      }
      client.write(data);
    });
  });
  return {
    url: await listenBefore(databaseUrl, server),
    cuts: () => cuts,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

/** Lets `server` listen on a free port. @returns the database's URL with that port in place of its own */
export async function listenBefore(databaseUrl: string, server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return url.href;
}
