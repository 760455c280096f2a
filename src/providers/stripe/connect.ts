import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { TLSSocket } from "node:tls";
import Stripe from "stripe";
import { retryAfterMs } from "../../backoff.js";
import { VERSION } from "../../version.js";

/** Pinned: what Stripe answers changes when we have read what is new, and not before. That of the package in use. */
const STRIPE_API_VERSION = "2026-10-28.endive";

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

/** What a failed request says. The provider decides what it means. */
export type RequestFailure =
  /** No byte of it can have reached Stripe. */
  | { readonly kind: "not_sent"; readonly detail: string }
  /** Stripe did not take it: too many requests. */
  | { readonly kind: "busy"; readonly detail: string; readonly retryAfterMs?: number }
  /** Our key is wrong or may not do this: turned away too, and no fault of the charge. */
  | { readonly kind: "misconfigured"; readonly detail: string }
  /**
   * The answer that Stripe stores under this idempotency key is a broken one, or is another request's: under this key Stripe
   * will never say anything else. That says nothing about what was done.
   */
  | { readonly kind: "key_spent"; readonly detail: string }
  | {
      readonly kind: "card";
      readonly code: string | null;
      readonly declineCode: string | null;
      readonly detail: string;
      /** Stripe's own, alone. */
      readonly sentence: string;
    }
  | {
      readonly kind: "invalid";
      readonly status: number;
      readonly code: string | null;
      readonly param: string | null;
      readonly detail: string;
      readonly sentence: string;
    }
  /** It may have been done, or may still be. */
  | { readonly kind: "unsure"; readonly detail: string };

/** Reads whatever the package threw (Stripe docs, "Error handling" and "Advanced error handling"). */
export function readError(error: unknown): RequestFailure {
  if (!(error instanceof Stripe.errors.StripeError))
    return { kind: "unsure", detail: `Stripe's answer could not be read (${nameOf(error)})` };
  if (error instanceof Stripe.errors.StripeConnectionError) return unanswered(error);
  const { statusCode: status = 0, headers } = error;
  const code = error.code ?? null;
  const detail = detailOf(error);
  const sentence = sentenceOf(error);
  if (status === 429 || code === "rate_limit") {
    // Another request on the same intent is under way, maybe one of ours that nobody waits for any more.
    if (code === "lock_timeout") return { kind: "unsure", detail };
    return { kind: "busy", detail, ...retryAfter(headers) };
  }
  if (status === 401 || status === 403) return { kind: "misconfigured", detail };
  if (status === 402)
    return { kind: "card", code, declineCode: error.decline_code || null, detail, sentence };
  if (status >= 500 && headers?.["idempotent-replayed"] === "true") return { kind: "key_spent", detail };
  if (status === 400 && error.rawType === "idempotency_error") return { kind: "key_spent", detail };
  if (status === 400 || status === 404)
    return { kind: "invalid", status, code, param: error.param ?? null, detail, sentence };
  return { kind: "unsure", detail };
}

/** Anything that looks like a key. */
const SECRET = /\b(?:sk|rk|pk|whsec)_[\w*]+/g;

const MAX_DETAIL = 300;

function sentenceOf({ message }: Stripe.errors.StripeError): string {
  return message.replace(SECRET, "(hidden)").slice(0, MAX_DETAIL);
}

function detailOf(error: Stripe.errors.StripeError): string {
  const { statusCode, code, requestId, type } = error;
  // What Stripe says of a wrong key names the key.
  const words = statusCode === 401 ? "" : sentenceOf(error);
  const facts = [statusCode ?? type, code, requestId].filter((fact) => fact !== undefined && fact !== "");
  return `Stripe: ${facts.join(" ")}${words === "" ? "" : `: ${words}`}`.slice(0, MAX_DETAIL);
}

function unanswered({ detail }: Stripe.errors.StripeConnectionError): RequestFailure {
  const cause: unknown = detail;
  if (!(cause instanceof NoAnswerError)) return { kind: "unsure", detail: "Stripe: no answer" };
  return { kind: cause.mayHaveLeft ? "unsure" : "not_sent", detail: `Stripe: ${cause.reason}` };
}

function retryAfter(headers: Readonly<Record<string, string>> | undefined): { retryAfterMs?: number } {
  const ms = retryAfterMs(headers?.["retry-after"]);
  return ms === null ? {} : { retryAfterMs: ms };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
