import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A real HTTP server that answers by script, so that headers, cut-off bodies and dead streams are real ones. */
export class ScriptedServer {
  readonly requests: URL[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(listener: RequestListener) {
    this.#server = createServer((request, response) => {
      this.requests.push(new URL(request.url ?? "", this.url));
      listener(request, response);
    });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(listener: RequestListener): Promise<ScriptedServer> {
    const server = new ScriptedServer(listener);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** Answers one request after the other; the last answer stays. */
  static async answering(...answers: Answer[]): Promise<ScriptedServer> {
    let next = 0;
    return await ScriptedServer.start((request, response) => {
      const answer = answers[Math.min(next++, answers.length - 1)];
      answer?.(response, request);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export function json(body: unknown, headers: Record<string, string> = {}, status = 200): Answer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

export function page(records: readonly unknown[], headers: Record<string, string> = {}): Answer {
  return json({ _links: {}, _embedded: { records } }, headers);
}

/** A problem as Horizon serves it. */
export function problem(status: number, type: string, headers: Record<string, string> = {}): Answer {
  return json({ type: `https://stellar.org/horizon-errors/${type}`, title: type, status }, headers, status);
}
