import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultBook, FaultOf, Faults } from "../faults.js";
import type { View } from "../history.js";
import type { SandboxNetwork } from "../network.js";
import type { Answer, Context, HttpOptions } from "./context.js";
import { pageDocument, pageQuery, rangeOf } from "./paging.js";
import { notFound, Problem, problemOf } from "./problem.js";
import { route } from "./routes.js";
import { stream } from "./stream.js";

/** Answers one request: faults first, then the route, then the shape of its answer. */
export async function respond(
  network: SandboxNetwork,
  book: FaultBook,
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? "GET";
  const base = `http://${request.headers.host ?? "127.0.0.1"}`;
  const url = URL.parse(request.url ?? "/", base);
  if (url === null) {
    response.writeHead(400).end();
    return;
  }
  const streaming = request.headers.accept?.includes("text/event-stream") ?? false;
  const isAdmin = url.pathname.startsWith("/sandbox");
  const faults = isAdmin ? book.none() : book.meet(method, url.pathname, streaming);
  const view = () => lagging(network, faults.get("lag")?.ledgers ?? 0);
  const stamp = () => {
    if (!isAdmin && faults.get("headerless") === undefined)
      response.setHeader("Latest-Ledger", view().latest.toString());
  };
  try {
    stamp();
    await fail(faults, response);
    const found = route(method, url.pathname);
    if (found === null) throw notFound();
    const body = () => readBody(request);
    const context: Context = {
      network,
      book,
      options,
      request,
      response,
      url,
      base,
      params: found.params,
      faults,
      view,
      body,
    };
    const answer = await found.handler(context);
    if (answer.kind === "collection" && streaming) {
      const lastEventId = request.headers["last-event-id"];
      return stream(context, answer.collection, pageQuery(url.searchParams, lastEventId?.toString()));
    }
    stamp();
    send(response, statusOf(answer), "application/hal+json", bodyOf(answer, context), faults.get("truncate"));
  } catch (error) {
    const problem = error instanceof Problem ? error : unexpected(error);
    if (response.headersSent) response.end();
    else send(response, problem.status, "application/problem+json", problem.body(), undefined);
  }
}

/** The sandbox is for developers: what went wrong is told, where Horizon would only say that something did. */
function unexpected(error: unknown): Problem {
  return new Problem("server_error", "Internal Server Error", 500, "The sandbox could not do this.", {
    reason: String(error),
  });
}

/** Faults that come before any route: a wait, then an error status. */
async function fail(faults: Faults, response: ServerResponse): Promise<void> {
  const delay = faults.get("delay");
  if (delay !== undefined) await sleep(delay.ms, undefined, { ref: false });
  const status = faults.get("status");
  if (status === undefined) return;
  if (status.status === 429) {
    response.setHeader("X-RateLimit-Limit", "3600");
    response.setHeader("X-RateLimit-Remaining", "0");
    response.setHeader("X-RateLimit-Reset", status.reset.toString());
  }
  throw problemOf(status.status, status.type);
}

function statusOf(answer: Answer): number {
  return answer.kind === "document" ? (answer.status ?? 200) : 200;
}

function bodyOf(answer: Answer, context: Context): unknown {
  if (answer.kind === "document") return answer.body;
  const query = pageQuery(context.url.searchParams);
  const records = answer.collection.read(rangeOf(query, context.view(), answer.collection));
  const page = pageDocument(records, query, context.url);
  // The links stay true: a server that repeats and shuffles still knows where its next page begins.
  return { ...page, _embedded: { records: context.faults.disturb(records) } };
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: unknown,
  truncate: FaultOf<"truncate"> | undefined,
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  const whole = truncate === undefined ? bytes : bytes.subarray(0, truncate.bytes ?? bytes.length >> 1);
  response.writeHead(status, { "content-type": `${type}; charset=utf-8`, "content-length": whole.length });
  response.end(whole);
}

function lagging(network: SandboxNetwork, ledgers: number): View {
  const elder = network.history.elder;
  return { latest: Math.max(network.latest.sequence - ledgers, elder), elder };
}

/** Large enough for a bulk of 100,000 payments. */
const MAX_BODY = 64 * 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY) throw problemOf(400, "bad_request");
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}
