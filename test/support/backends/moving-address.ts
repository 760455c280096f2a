import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * One address for a server that moves, as a Kubernetes service, HAProxy or a name that is given to another machine
 * is for clients: who is connected is cut off when it moves, and who connects reaches where it has moved to.
 */
export class MovingAddress {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target: number | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (client) => this.#accept(client));
  }

  static async open(): Promise<MovingAddress> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    server.unref();
    return new MovingAddress(server);
  }

  /** @param port where it leads from now on; null: nowhere */
  move(port: number | null): void {
    this.#target = port;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.move(null);
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.#target === null) {
      client.on("error", () => undefined).destroy();
      return;
    }
    const server = connect(this.#target, "127.0.0.1");
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        // Not at once: what one side said last is still to be read by the other.
        other.destroySoon();
      });
      socket.pipe(other);
    }
  }
}
