import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultBook, Faults } from "../faults.js";
import type { View } from "../history.js";
import type { SandboxNetwork } from "../network.js";
import type { Answer, Context, HttpOptions } from "./context.js";
import { pageLinks, pageQuery, rangeOf } from "./paging.js";
import { notFound, Problem, problemOf } from "./problem.js";
import { type Allowance, clientOf, limitHeaders } from "./rate-limit.js";
import { isStateRoute, route } from "./routes.js";
import { type Body, type Delivery, indented, sendBody } from "./send.js";
import { stream } from "./stream.js";

/** Answers one request: its rate limit and faults first, then the route, then the shape of its answer. */
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
  const client = clientOf(request);
  const faults = isAdmin ? book.none() : book.meet(method, url.pathname, streaming);
  const view = () => viewOf(network, faults);
  try {
    response.setHeader("Cache-Control", "no-cache, no-store, max-age=0");
    if (!isAdmin) count(response, options.limit.take(client));
    if (isStateRoute(url.pathname) && faults.get("headerless") === undefined) {
      response.setHeader("Latest-Ledger", view().latest.toString());
    }
    await fail(faults, options, response);
    const found = route(method, url.pathname);
    if (found === null) throw notFound();
    const body = () => readBody(request);
    const records = { base, resultMeta: options.resultMeta };
    const { params } = found;
    const context: Context = {
      network,
      book,
      options,
      request,
      response,
      url,
      base,
      records,
      client,
      params,
      faults,
      view,
      body,
    };
    const answer = await found.handler(context);
    if (answer.kind === "collection" && streaming) {
      const lastEventId = request.headers["last-event-id"];
      return stream(context, answer.collection, pageQuery(url.searchParams, lastEventId?.toString()));
    }
    // Before the headers: what can't be answered is a problem with a status of its own.
    const text = bodyOf(answer, context);
    response.writeHead(statusOf(answer), {
      "Content-Type": "application/hal+json; charset=utf-8",
      Vary: "Accept-Encoding",
      ...(gzips(request) ? { "Content-Encoding": "gzip" } : {}),
    });
    await sendBody(response, text, deliveryOf(context));
  } catch (error) {
    const problem = error instanceof Problem ? error : unexpected(error);
    if (response.headersSent) response.destroy();
    else sendProblem(response, problem);
  }
}

/** Says what is left of the client's limit. @throws Problem 429 when nothing was */
function count(response: ServerResponse, allowance: Allowance | null): void {
  if (allowance === null) return;
  for (const [name, value] of Object.entries(limitHeaders(allowance))) response.setHeader(name, value);
  if (!allowance.allowed) throw problemOf(429, undefined);
}

/** The sandbox is for developers: what went wrong is told, where Horizon would only say that something did. */
function unexpected(error: unknown): Problem {
  return new Problem("server_error", "Internal Server Error", 500, "The sandbox could not do this.", {
    reason: String(error),
  });
}

/** Faults that come before any route: a wait, then an error status. */
async function fail(faults: Faults, { limit }: HttpOptions, response: ServerResponse): Promise<void> {
  const delay = faults.get("delay");
  if (delay !== undefined) await sleep(delay.ms, undefined, { ref: false });
  const status = faults.get("status");
  if (status === undefined) return;
  if (status.status === 429) count(response, limit.spent(status.retryAfter * 1000));
  throw problemOf(status.status, status.type);
}

function statusOf(answer: Answer): number {
  return answer.kind === "document" ? (answer.status ?? 200) : 200;
}

function bodyOf(answer: Answer, context: Context): Body {
  if (answer.kind === "document") return { head: indented(answer.body), records: [], tail: "" };
  const query = pageQuery(context.url.searchParams);
  const range = rangeOf(query, context.view(), answer.collection);
  const rows = answer.collection.read(range);
  const cursor = query.cursor === "now" ? range.cursor.toString() : query.cursor;
  // The links stay true: a server that repeats and shuffles still knows where its next page begins.
  const links = pageLinks(rows, cursor, query, context.url);
  const page = indented({ _links: links, _embedded: { records: [] } });
  const end = page.lastIndexOf("]");
  return {
    head: page.slice(0, end),
    records: context.faults.disturb(rows).map(({ record }) => record),
    tail: page.slice(end),
  };
}

function deliveryOf({ faults, options, request }: Context): Delivery {
  const [truncate, stall] = [faults.get("truncate"), faults.get("stall")];
  const gzip = gzips(request);
  if (stall !== undefined) return { gzip, cut: stall, stallMs: options.streamMs };
  return { gzip, cut: truncate };
}

function gzips({ headers }: IncomingMessage): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(headers["accept-encoding"]?.toString() ?? "");
}

/** Never compressed and never cut, as Horizon's. */
function sendProblem(response: ServerResponse, problem: Problem): void {
  const bytes = Buffer.from(indented(problem.body()));
  response.writeHead(problem.status, {
    "Content-Type": "application/problem+json; charset=utf-8",
    Vary: "Origin",
    "Content-Length": bytes.length,
  });
  response.end(bytes);
}

/** What this request's server has of the network: less than all of it when it is behind. */
function viewOf(network: SandboxNetwork, faults: Faults): View {
  const { elder } = network.history;
  return { latest: Math.max(network.latest.sequence - faults.ledgersBehind(), elder), elder };
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
