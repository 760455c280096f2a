import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A request as it came in. */
export type Received = {
  readonly id: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Byte for byte. */
  readonly body: string;
};

export type Reply = (response: ServerResponse, received: Received) => void;

/** A merchant's webhook receiver: a real server on 127.0.0.1 that keeps what it is sent. */
export type Receiver = {
  readonly url: string;
  readonly received: readonly Received[];
  /** What it answers from now on; 204 at first. */
  reply: Reply;
  stop(): Promise<void>;
};

export const ok: Reply = (response) => response.writeHead(204).end();

/** Answers a status, with a body and headers where given. */
export function status(code: number, body = "", headers: Record<string, string> = {}): Reply {
  return (response) => response.writeHead(code, headers).end(body);
}

/** Takes the request and says nothing. */
export const silence: Reply = () => undefined;

export async function startReceiver(reply: Reply = ok): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer(async (incoming, response) => {
    const body = (await buffer(incoming)).toString("utf8");
    const { headers, url: path = "" } = incoming;
    const one: Received = { id: String(headers["webhook-id"]), path, headers, body };
    received.push(one);
    receiver.reply(response, one);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    reply,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
  return receiver;
}
