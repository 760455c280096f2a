import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** What goes wrong with one call. */
export type Fault =
  /** 429, before anything is done. */
  | "refuse"
  /** The connection is cut before anything is done. */
  | "drop-before"
  /** 500, before anything is done. */
  | "error-before"
  /** All is done, and the connection is cut. */
  | "drop-after"
  /** All is done, and the answer is 500. */
  | "error-after"
  /** All is done, and the answer comes never. */
  | "silent"
  /** Nothing is done yet, and nothing is answered: it is done when the test says so. */
  | "held"
  /** Final. */
  | "decline";

type Told = "taken" | "declined";

/**
 * A bank that takes money: a real server on 127.0.0.1 that keeps what became of each key and counts what it took.
 * Under one key it charges once, and what it declined it declines for ever. It also makes intents, which charge once
 * each, and forgets at once under which key: two calls make two intents, as after the end of an idempotency window.
 */
export class Bank {
  /** Told to go wrong with: the next calls that charge or prepare, in order; then all is well. */
  readonly faults: Fault[] = [];
  /** The same for each call that asks. */
  readonly askFaults: Fault[] = [];
  /** Calls of each kind, with the key that each named. */
  readonly calls: { readonly kind: "intent" | "charge" | "find"; readonly key: string }[] = [];
  /** Called with each request as it arrives. */
  onCall: () => void = () => undefined;
  /** The charges that each key was charged, by the merchant's own reference. */
  readonly #told = new Map<string, Told>();
  readonly #taken = new Map<string, number>();
  readonly #intents = new Map<string, string>();
  readonly #held: (() => void)[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  /** How often money was taken for a charge, under whatever name. */
  taken(charge: string): number {
    return this.#taken.get(charge) ?? 0;
  }

  /** Of all charges together. */
  get takenInAll(): number {
    return [...this.#taken.values()].reduce((sum, count) => sum + count, 0);
  }

  callsOf(kind: "intent" | "charge" | "find"): number {
    return this.calls.filter((call) => call.kind === kind).length;
  }

  /** Does what was held, the first first. */
  release(count = this.#held.length): void {
    for (const go of this.#held.splice(0, count)) go();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request).catch(() => "");
    const url = new URL(request.url ?? "/", "http://bank");
    const [, kind, name = ""] = url.pathname.split("/");
    const { charge = name } = body === "" ? {} : (JSON.parse(body) as { charge?: string });
    this.calls.push({ kind: kind as "charge", key: name });
    this.onCall();
    if (kind === "find") {
      this.#say(response, this.askFaults.shift(), () => ({ state: this.#told.get(name) ?? "absent" }));
    } else if (kind === "intent") {
      this.#say(response, this.faults.shift(), (isDeclined) => {
        if (isDeclined) return { state: "declined" };
        const id = `intent-${randomUUID()}`;
        this.#intents.set(id, charge);
        return { id };
      });
    } else {
      const subject = this.#intents.get(name) ?? charge;
      this.#say(response, this.faults.shift(), (isDeclined) => {
        const before = this.#told.get(name);
        if (before !== undefined) return { state: before };
        this.#told.set(name, isDeclined ? "declined" : "taken");
        if (!isDeclined) this.#taken.set(subject, this.taken(subject) + 1);
        return { state: isDeclined ? "declined" : "taken" };
      });
    }
  }

  #say(response: ServerResponse, fault: Fault | undefined, act: (isDeclined: boolean) => object): void {
    switch (fault) {
      case "refuse":
        return void response.writeHead(429).end();
      case "drop-before":
        return void response.destroy();
      case "error-before":
        return void response.writeHead(500).end();
      case "drop-after":
        act(false);
        return void response.destroy();
      case "error-after":
        act(false);
        return void response.writeHead(500).end();
      case "silent":
        return void act(false);
      case "held":
        return void this.#held.push(() => response.end(JSON.stringify(act(false))));
      case "decline":
        return void response.end(JSON.stringify(act(true)));
      case undefined:
        return void response.end(JSON.stringify(act(false)));
    }
  }
}
