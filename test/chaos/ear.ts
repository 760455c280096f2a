import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { DataSource } from "typeorm";
import type { Dice } from "./dice.js";

/** An event as one endpoint heard it. */
export type Heard = { readonly body: string; times: number };

/** How often an endpoint misbehaves, as shares of the requests. */
export type Manners = {
  readonly refuses: number;
  readonly dawdles: number;
  /** Takes the request and never answers. */
  readonly saysNothing: number;
};

export const POLITE: Manners = { refuses: 0, dawdles: 0, saysNothing: 0 };

/** Sessions of these that no committed payment has paid. */
const UNPAID = `
  SELECT told.id FROM unnest($1::uuid[]) AS told (id)
  WHERE NOT EXISTS (SELECT FROM payments p JOIN checkout_sessions s ON s.id = p.session_id
                    WHERE p.session_id = told.id AND s.status = 'paid')`;

const CHECK_EVERY_MS = 20;

/**
 * The merchants' receivers: keep every id with the body that they heard, and check each `payment.confirmed` against
 * the books at the moment they hear it: what is told must be committed, not about to be.
 */
export class Ear {
  /** By endpoint path, then by event id. */
  readonly heard = new Map<string, Map<string, Heard>>();
  /** What can't be true, in words. */
  readonly lies: string[] = [];
  /** Requests in all, those that were not answered well too. */
  requests = 0;
  manners = POLITE;
  #toCheck: string[] = [];
  #timer: NodeJS.Timeout;
  #checking: Promise<void> = Promise.resolve();

  private constructor(
    readonly url: string,
    private readonly server: Server,
    private readonly books: DataSource,
    private readonly dice: Dice,
  ) {
    this.#timer = setInterval(() => {
      this.#checking = this.#checking.then(() => this.#check());
    }, CHECK_EVERY_MS);
  }

  static async open(books: DataSource, dice: Dice): Promise<Ear> {
    let ear: Ear | undefined;
    const server = createServer(async (incoming, response) => {
      const body = await buffer(incoming).catch(() => null);
      if (ear === undefined || body === null) return;
      const { status, afterMs } = ear.hear(
        incoming.url ?? "/",
        incoming.headers["webhook-id"],
        body.toString(),
      );
      if (status === null) return;
      setTimeout(() => response.writeHead(status).end(), afterMs).unref();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ear = new Ear(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, books, dice);
    return ear;
  }

  /** Resolves when everything heard so far has been checked. */
  async checked(): Promise<void> {
    while (this.#toCheck.length > 0) await this.#check();
    await this.#checking;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#checking;
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close");
  }

  private hear(
    path: string,
    header: string | string[] | undefined,
    body: string,
  ): { status: number | null; afterMs: number } {
    this.requests++;
    const id = String(header);
    const events = this.heard.get(path) ?? new Map<string, Heard>();
    this.heard.set(path, events);
    const known = events.get(id);
    if (known === undefined) events.set(id, { body, times: 1 });
    else {
      known.times++;
      if (known.body !== body) this.lies.push(`event ${id} has two bodies`);
    }
    const event = JSON.parse(body) as { id: string; type: string; data: { session_id: string } };
    if (event.id !== id) this.lies.push(`event ${event.id} came under the id ${id}`);
    if (event.type === "payment.confirmed" && known === undefined) this.#toCheck.push(event.data.session_id);
    return this.#manner();
  }

  #manner(): { status: number | null; afterMs: number } {
    const { refuses, dawdles, saysNothing } = this.manners;
    const roll = this.dice.next();
    if (roll < saysNothing) return { status: null, afterMs: 0 };
    if (roll < saysNothing + refuses) return { status: 500, afterMs: 0 };
    if (roll < saysNothing + refuses + dawdles)
      return { status: 204, afterMs: this.dice.between(200, 3_000) };
    return { status: 204, afterMs: 0 };
  }

  async #check(): Promise<void> {
    const told = this.#toCheck;
    if (told.length === 0) return;
    this.#toCheck = [];
    try {
      const unpaid: { id: string }[] = await this.books.query(UNPAID, [told]);
      for (const { id } of unpaid) {
        this.lies.push(`payment.confirmed of session ${id} was heard before anything had paid it`);
      }
    } catch {
      // Postgres is away: what was told before it went must be there when it comes back.
      this.#toCheck.unshift(...told);
    }
  }
}
