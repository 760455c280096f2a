import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What a link does to what goes through it. */
export type LinkState =
  | { readonly kind: "open" }
  /** Connections break, and new ones break at once. */
  | { readonly kind: "cut" }
  /** A black hole: connections stay open, and nothing comes through until it thaws. */
  | { readonly kind: "frozen" }
  /** Everything takes this much longer, each way, in milliseconds. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Questions arrive, answers don't; when it ends, the connections that lost one break. */
  | { readonly kind: "deaf" };

export const OPEN: LinkState = { kind: "open" };

/** Bytes that wait in one direction before its source is told to wait. */
const HIGH_WATER = 1024 * 1024;

/** A TCP link between one process and one server, in the hands of the driver. */
export class Link {
  #state: LinkState = OPEN;
  readonly #pairs = new Set<Pair>();

  private constructor(
    readonly url: string,
    private readonly close: () => void,
  ) {}

  /** @param target the server's own URL; user, password and path are kept */
  static async open(target: string): Promise<Link> {
    const { hostname, port } = new URL(target);
    let link: Link | undefined;
    const server = createServer({ allowHalfOpen: true }, (client) =>
      link?.accept(client, Number(port), hostname),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = new URL(target);
    url.hostname = "127.0.0.1";
    url.port = String((server.address() as AddressInfo).port);
    link = new Link(url.href.replace(/\/$/, ""), () => server.close());
    return link;
  }

  set(state: LinkState): void {
    this.#state = state;
    for (const pair of this.#pairs) pair.set(state);
  }

  stop(): void {
    this.close();
    for (const pair of this.#pairs) pair.end();
  }

  private accept(client: Socket, port: number, host: string): void {
    if (this.#state.kind === "cut") {
      client.on("error", () => undefined).destroy();
      return;
    }
    const pair = new Pair(client, connect({ port, host, allowHalfOpen: true }), () =>
      this.#pairs.delete(pair),
    );
    this.#pairs.add(pair);
    pair.set(this.#state);
  }
}

/** One connection: both its directions. */
class Pair {
  readonly #ways: readonly [Way, Way];
  #lostAnswers = false;
  #state: LinkState = OPEN;

  constructor(
    readonly client: Socket,
    readonly server: Socket,
    onEnd: () => void,
  ) {
    this.#ways = [new Way(client, server), new Way(server, client)];
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", () => this.end());
      socket.on("close", () => {
        // What the other side sent last may still be on its way; a break is a break.
        this.end();
        onEnd();
      });
    }
    client.on("data", (data) => this.#ways[0].take(data));
    server.on("data", (data) => {
      if (this.#state.kind === "deaf") this.#lostAnswers = true;
      else this.#ways[1].take(data);
    });
    client.on("end", () => this.#ways[0].take(null));
    server.on("end", () => this.#ways[1].take(null));
  }

  set(state: LinkState): void {
    this.#state = state;
    if (state.kind === "cut" || (this.#lostAnswers && state.kind !== "deaf")) {
      this.end();
      return;
    }
    for (const way of this.#ways) way.set(state);
  }

  end(): void {
    for (const way of this.#ways) way.stop();
    this.client.destroy();
    this.server.destroy();
  }
}

/** One direction: chunks leave in order, each when it is due. */
class Way {
  #queue: { readonly due: number; readonly data: Buffer | null }[] = [];
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;
  #state: LinkState = OPEN;

  constructor(
    readonly from: Socket,
    readonly to: Socket,
  ) {}

  /** @param data null: the source has nothing more to say */
  take(data: Buffer | null): void {
    const delay = this.#state.kind === "slow" ? this.#state.ms : 0;
    this.#queue.push({ due: performance.now() + delay, data });
    this.#waiting += data?.length ?? 0;
    if (this.#waiting > HIGH_WATER) this.from.pause();
    this.#pump();
  }

  set(state: LinkState): void {
    this.#state = state;
    this.#pump();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#state.kind === "frozen") return;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const wait = first.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), wait);
        return;
      }
      this.#queue.shift();
      this.#waiting -= first.data?.length ?? 0;
      if (first.data === null) this.to.end();
      else this.to.write(first.data);
    }
    if (this.#waiting <= HIGH_WATER && this.from.isPaused()) this.from.resume();
  }
}
