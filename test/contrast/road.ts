import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Road, TIMES } from "./plan.js";

/** The road between a shop and its provider, on which answers are delayed and lost. */
export type RoadServer = {
  readonly url: string;
  close(): Promise<void>;
};

export type RoadOptions = {
  /** The provider. */
  readonly to: string;
  /** What happens to an order's first request that would move money. */
  readonly roadOf: (reference: string) => Road;
  /** Kills the shop's servers; the provider has charged by then, and its answer goes to nobody. */
  readonly crash: (reference: string) => void;
};

/**
 * Forwards every request to the provider. Whose request it is stands in its metadata, or is known by the payment
 * intent that it names. Each order's first money-moving request reaches the provider, and only its answer meets what
 * the plan has for it: the provider has charged, whatever the shop hears.
 */
export async function openRoad({ to, roadOf, crash }: RoadOptions): Promise<RoadServer> {
  const orderOfIntent = new Map<string, string>();
  const travelled = new Set<string>();

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await read(incoming);
    const reference = referenceOf(incoming.url ?? "", body, orderOfIntent);
    const isFirst = reference !== null && movesMoney(incoming, body) && !travelled.has(reference);
    if (isFirst) travelled.add(reference);
    const answer = await forward(to, incoming, body);
    const intent = intentOf(answer.body);
    if (reference !== null && intent !== null) orderOfIntent.set(intent, reference);
    const road = isFirst ? roadOf(reference) : "open";
    if (road === "slow") await pause(TIMES.slow);
    if (road === "too_late") await pause(TIMES.tooLate);
    if (road === "crash" && reference !== null) crash(reference);
    if (road === "lost" || road === "crash") return void outgoing.destroy();
    if (road === "error") return void outgoing.writeHead(500).end("{}");
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  };

  const server: Server = createServer((incoming, outgoing) => {
    // A shop that has hung up, or was killed: nobody is left to tell.
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Stripe takes the money when an intent is confirmed: by a request of its own, or as it is created. */
function movesMoney({ method, url = "" }: IncomingMessage, body: string): boolean {
  if (method !== "POST") return false;
  return url.endsWith("/confirm") || new URLSearchParams(body).get("confirm") === "true";
}

function referenceOf(url: string, body: string, orderOfIntent: ReadonlyMap<string, string>): string | null {
  const intent = /\/payment_intents\/(pi_\w+)/.exec(url)?.[1];
  if (intent !== undefined) return orderOfIntent.get(intent) ?? null;
  return new URLSearchParams(body).get("metadata[reference]");
}

function intentOf(body: string): string | null {
  return /"id":\s*"(pi_\w+)"/.exec(body)?.[1] ?? null;
}

type Forwarded = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: string;
};

/** In full, also when whoever asked hangs up meanwhile: the provider does not care who waits. */
async function forward(to: string, incoming: IncomingMessage, body: string): Promise<Forwarded> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { ...incoming.headers };
  delete headers.host;
  const asked = request(new URL(incoming.url ?? "/", to), {
    ...(incoming.method && { method: incoming.method }),
    headers,
  });
  asked.on("response", resolve).on("error", reject).end(body);
  const answer = await promise;
  const kept = Object.entries(answer.headers).filter(
    (entry): entry is [string, string | string[]] =>
      entry[1] !== undefined && !["connection", "transfer-encoding", "content-length"].includes(entry[0]),
  );
  return {
    status: answer.statusCode ?? 502,
    headers: Object.fromEntries(kept),
    body: await read(answer),
  };
}

async function read(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
