import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { TLSSocket } from "node:tls";
import Stripe from "stripe";
import { VERSION } from "../../version.js";

/** Pinned: what Stripe answers changes when we have read what is new, and not before. That of the package in use. */
export const STRIPE_API_VERSION = "2026-10-28.endive";

/** No answer of Stripe's to what we ask is longer. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** The signal is the deadline; this only ends what nobody waits for any more. */
const LAST_RESORT_MS = 120_000;

export type StripeServer = { readonly apiKey: string; readonly apiUrl: string };

/** A client whose every request ends with `signal`. */
export type Connect = (signal: AbortSignal) => Stripe;

/** @param server where Stripe is, and who we are there */
export function stripeClients({ apiKey, apiUrl }: StripeServer): Connect {
  const { protocol, hostname, port } = new URL(apiUrl);
  const isPlain = protocol === "http:";
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
  return (signal) =>
    new Stripe(apiKey, {
      apiVersion: STRIPE_API_VERSION,
      protocol: isPlain ? "http" : "https",
      // An IPv6 address goes into a URL with brackets, and into a connection without.
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port || (isPlain ? "80" : "443"),
      httpClient: new OneTryClient(agents, signal),
      // Retries are the worker's: it alone knows what is due, and counts.
      maxNetworkRetries: 0,
      timeout: LAST_RESORT_MS,
      telemetry: false,
      // Part of `User-Agent`: Stripe can tell whose requests these are.
      appInfo: { name: "paidonce", version: VERSION },
    });
}

/** A request that got no answer. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";

  /**
   * @param mayHaveLeft false only where no byte of the request can have reached anybody
   * @param reason for people; never what was sent
   */
  constructor(
    readonly mayHaveLeft: boolean,
    readonly reason: string,
  ) {
    // No `code`: with ECONNRESET or EPIPE the package would send it again by itself, whatever maxNetworkRetries says.
    super(reason);
  }
}

type Agents = { readonly http: HttpAgent; readonly https: HttpsAgent };

/** The package's transport, with a signal, and with word of whether a request can have left. Tries once. */
class OneTryClient extends Stripe.HttpClient {
  constructor(
    private readonly agents: Agents,
    private readonly signal: AbortSignal,
  ) {
    super();
  }

  override getClientName(): string {
    return "node";
  }

  /** @throws NoAnswerError (rejects) for whatever is not a whole answer */
  override async makeRequest(
    ...[host, port, path, method, headers, body, protocol]: Parameters<Stripe.HttpClient["makeRequest"]>
  ): Promise<WholeAnswer> {
    const { signal, agents } = this;
    if (signal.aborted) throw new NoAnswerError(false, "there was no time left to send it");
    let mayHaveLeft = false;
    try {
      return await new Promise<WholeAnswer>((resolve, reject) => {
        const options = { host, port, path, method, headers: headers as Record<string, string>, signal };
        const request =
          protocol === "http"
            ? requestHttp({ ...options, agent: agents.http })
            : requestHttps({ ...options, agent: agents.https });
        request.once("socket", (socket) => {
          const open = () => {
            mayHaveLeft = true;
          };
          // Bytes that are written before that wait in this process: after a refusal or a bad certificate none was sent.
          if (request.reusedSocket || !socket.connecting) open();
          else socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", open);
        });
        request.once("error", reject);
        request.once("response", (response) => readWhole(response).then(resolve, reject));
        request.setTimeout(LAST_RESORT_MS, () => request.destroy(new Error("no answer for too long")));
        request.end(body);
      });
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string };
      const why = signal.aborted ? "no answer in time" : `no answer: ${code ?? message ?? "unknown"}`;
      throw new NoAnswerError(mayHaveLeft, why);
    }
  }
}

/** @throws Error (rejects) where the connection ends before the body does */
async function readWhole(response: IncomingMessage): Promise<WholeAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return new WholeAnswer(
    response.statusCode ?? 0,
    response.headers,
    Buffer.concat(chunks).toString("utf8"),
    response,
  );
}

class WholeAnswer extends Stripe.HttpClientResponse {
  constructor(
    status: number,
    headers: IncomingHttpHeaders,
    private readonly text: string,
    private readonly raw: IncomingMessage,
  ) {
    super(status, headers as Record<string, string | string[]>);
  }

  override getRawResponse(): IncomingMessage {
    return this.raw;
  }

  override async toJSON(): Promise<unknown> {
    return JSON.parse(this.text);
  }
}
