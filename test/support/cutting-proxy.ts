import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Postgres' answer to a COMMIT that has happened: CommandComplete with this tag. */
const COMMITTED = "COMMIT\0";

/** ErrorResponse with 40003, then ReadyForQuery outside a transaction: what a client of CockroachDB's is told. */
const AMBIGUOUS = Buffer.concat([
  errorResponse({ S: "ERROR", V: "ERROR", C: "40003", M: "result is ambiguous: who led the commit is gone" }),
  Buffer.from([0x5a, 0, 0, 0, 5, 0x49]),
]);

export interface CuttingProxy {
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** How many answers to a COMMIT were lost, or replaced, so far. */
  cuts(): number;
  stop(): Promise<void>;
}

/**
 * A TCP proxy in front of Postgres that loses the first answers to COMMIT: the server has committed, the client
 * only sees its connection break.
 * @param answers how many answers to lose
 */
export async function loseCommitAnswers(databaseUrl: string, answers: number): Promise<CuttingProxy> {
  return withoutCommitAnswers(databaseUrl, answers, null);
}

/** The same, but the connection holds: instead of the answer the client is told that nobody knows (40003). */
export async function blurCommitAnswers(databaseUrl: string, answers: number): Promise<CuttingProxy> {
  return withoutCommitAnswers(databaseUrl, answers, AMBIGUOUS);
}

/** @param instead what the client gets; null: its connection breaks */
async function withoutCommitAnswers(
  databaseUrl: string,
  answers: number,
  instead: Buffer | null,
): Promise<CuttingProxy> {
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
        if (instead === null) end();
        else client.write(instead);
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

/** As the server sends it. @param fields by their letters in the protocol */
function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([letter, text]) => `${letter}${text}\0`)
      .join("")}\0`,
  );
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
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
