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

/** Credits of these that no committed exception holds. */
const NOT_RAISED = `
  SELECT told.key FROM unnest($1::text[]) AS told (key)
  WHERE NOT EXISTS (SELECT FROM payment_exceptions e WHERE e.operation_id = split_part(told.key, '-', 1)::bigint
                    AND e.move_index = split_part(told.key, '-', 2)::int)`;

const CHECK_EVERY_MS = 20;

/**
 * The merchants' receivers: keep every id with the body that they heard, and check each `payment.confirmed` and
 * `exception.raised` against the books at the moment they hear it: what is told must be committed, not about to be.
 */
export class Ear {
  /** By endpoint path, then by event id. */
  readonly heard = new Map<string, Map<string, Heard>>();
  /** What can't be true, in words. */
  readonly lies: string[] = [];
  /** Requests in all, those that were not answered well too. */
  requests = 0;
  manners = POLITE;
  #toCheck: Claim[] = [];
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
    const { claim, lie } = understand(id, body);
    if (lie !== null) this.lies.push(lie);
    if (claim !== null && known === undefined) this.#toCheck.push(claim);
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
      const subjects = (type: Claim["type"]) =>
        told.filter((claim) => claim.type === type).map(({ subject }) => subject);
      const unpaid: { id: string }[] = await this.books.query(UNPAID, [subjects("payment.confirmed")]);
      const notRaised: { key: string }[] = await this.books.query(NOT_RAISED, [subjects("exception.raised")]);
      for (const { id } of unpaid) {
        this.lies.push(`payment.confirmed of session ${id} was heard before anything had paid it`);
      }
      for (const { key } of notRaised) {
        this.lies.push(`exception.raised of credit ${key} was heard before it was one`);
      }
    } catch {
      // Postgres is away: what was told before it went must be there when it comes back.
      this.#toCheck.unshift(...told);
    }
  }
}

/** What an event says of the books. */
type Claim = { readonly type: "payment.confirmed" | "exception.raised"; readonly subject: string };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const CREDIT_KEY = /^\d{1,18}-\d{1,9}$/;

/**
 * Reads what came under an id. Pure: a body that can't be read is a lie, and no reason for the driver to fail. What
 * Postgres could not compare is one too: it would be asked for again and again.
 */
export function understand(id: string, body: string): { claim: Claim | null; lie: string | null } {
  let event: {
    id?: unknown;
    type?: unknown;
    data?: { session_id?: unknown; credit?: unknown } | null;
  } | null;
  try {
    event = JSON.parse(body);
  } catch {
    return { claim: null, lie: `event ${id} is no JSON: ${body.slice(0, 100)}` };
  }
  if (event?.id !== id) return { claim: null, lie: `event ${event?.id} came under the id ${id}` };
  const { type, data } = event;
  if (type !== "payment.confirmed" && type !== "exception.raised") return { claim: null, lie: null };
  const subject = String(type === "payment.confirmed" ? data?.session_id : data?.credit);
  const form = type === "payment.confirmed" ? UUID : CREDIT_KEY;
  if (!form.test(subject)) return { claim: null, lie: `event ${id}: ${type} of ${subject}` };
  return { claim: { type, subject }, lie: null };
}
