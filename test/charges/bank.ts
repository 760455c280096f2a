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
  | "decline"
  /** Nothing goes wrong. */
  | "none";

type Told = "taken" | "declined";

/**
 * A bank that takes money: a real server on 127.0.0.1 that keeps what became of each key and counts what it took.
 * Under one key it charges once, and what it declined it declines for ever. It also makes intents, which charge once
 * each, and forgets at once under which key: two calls make two intents, as after the end of an idempotency window.
 */
export class Bank {
  /** Told to go wrong with: the next calls that charge or prepare, in order; then all is well. */
  readonly faults: Fault[] = [];
  /** The same for one charge's alone, before the others. */
  readonly faultsOf = new Map<string, Fault[]>();
  /** The same for each call that asks. */
  readonly askFaults: Fault[] = [];
  /** Calls of each kind, with the key that each named. */
  readonly calls: { readonly kind: "intent" | "charge" | "find"; readonly key: string }[] = [];
  /** What became of each key. */
  readonly #told = new Map<string, Told>();
  /** How often money was taken for each charge. */
  readonly #taken = new Map<string, number>();
  readonly #intents = new Map<string, string>();
  readonly #held: { readonly charge: string; readonly go: () => void }[] = [];
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

  /** Does what was held: the oldest call of a charge, or all. */
  release(charge?: string): void {
    const first = this.#held.findIndex((held) => held.charge === charge);
    const released =
      charge === undefined ? this.#held.splice(0) : this.#held.splice(first, first < 0 ? 0 : 1);
    for (const { go } of released) go();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request).catch(() => "");
    const url = new URL(request.url ?? "/", "http://bank");
    const [, kind, name = ""] = url.pathname.split("/");
    const { charge = name } = body === "" ? {} : (JSON.parse(body) as { charge?: string });
    this.calls.push({ kind: kind as "charge", key: name });
    if (kind === "find") {
      this.#say(response, name, this.askFaults.shift(), () => ({ state: this.#told.get(name) ?? "absent" }));
    } else if (kind === "intent") {
      this.#say(response, charge, this.#nextFault(charge), (isDeclined) => {
        if (isDeclined) return { state: "declined" };
        const id = `intent-${randomUUID()}`;
        this.#intents.set(id, charge);
        return { id };
      });
    } else {
      const subject = this.#intents.get(name) ?? charge;
      this.#say(response, subject, this.#nextFault(subject), (isDeclined) => {
        const before = this.#told.get(name);
        if (before !== undefined) return { state: before };
        this.#told.set(name, isDeclined ? "declined" : "taken");
        if (!isDeclined) this.#taken.set(subject, this.taken(subject) + 1);
        return { state: isDeclined ? "declined" : "taken" };
      });
    }
  }

  #nextFault(charge: string): Fault | undefined {
    return this.faultsOf.get(charge)?.shift() ?? this.faults.shift();
  }

  #say(
    response: ServerResponse,
    charge: string,
    fault: Fault | undefined,
    act: (isDeclined: boolean) => object,
  ): void {
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
        return void this.#held.push({ charge, go: () => response.end(JSON.stringify(act(false))) });
      case "decline":
        return void response.end(JSON.stringify(act(true)));
      case "none":
      case undefined:
        return void response.end(JSON.stringify(act(false)));
    }
  }
}
