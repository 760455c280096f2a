import { createServer, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type Koa from "koa";
import { v7 as uuidv7 } from "uuid";
import { Problem } from "./problem.js";

/** A request that takes longer is cut off; the database gives up long before. */
const REQUEST_TIMEOUT_MS = 30_000;

/** A client that opens a connection and says nothing must not hold it. */
const HEADERS_TIMEOUT_MS = 10_000;

/** Longer than the usual load balancer's own: it must be the one that hangs up, or it sends into a closed door. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;

/** How long a connection stays half open for a sender that is still sending: closed at once, it might lose the answer. */
const LINGER_MS = 1_000;

/**
 * The application behind a server that is not listening yet. What Node refuses before the application has it (a broken
 * request, a head that is too long, an expectation that nobody meets, CONNECT) is answered by problem documents too.
 */
export function createHttpServer(app: Koa): Server {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    },
    app.callback(),
  );
  const answering = new WeakMap<Duplex, ServerResponse>();
  server.on("request", ({ socket }, response) => {
    answering.set(socket, response);
    response.once("close", () => answering.delete(socket));
  });
  server.on("clientError", (error, socket) => {
    // Half an answer with a second one in its middle would be read as one.
    if (!socket.writable || answering.get(socket)?.headersSent === true) socket.destroy(error);
    else end(socket, whyBroken(error));
  });
  server.on("checkExpectation", (_request, response) => {
    const problem = new Problem("expectation-failed", "The only expectation that is met is 100-continue.");
    const [headers, body] = documentOf(problem);
    response.writeHead(problem.status, headers).end(body);
  });
  server.on("connect", (_request, socket) => {
    end(socket, new Problem("method-not-allowed", "This is no proxy: CONNECT is not taken.", NO_METHOD));
  });
  return server;
}

/** RFC 9110: a 405 has the header. */
const NO_METHOD = { headers: { Allow: "" } };

function whyBroken(error: Error): Problem {
  switch ((error as { code?: string }).code) {
    case "HPE_HEADER_OVERFLOW":
      return new Problem("headers-too-large", "Path, query and headers have at most 16 KiB together.");
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new Problem("body-too-large", "The extensions of the body's chunks are too long.");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Problem("request-timeout", "The request did not come to its end in time.");
    default:
      return new Problem("malformed-request", "This is no HTTP request that can be read.");
  }
}

/** Answers on a connection that has no response object, and closes it. */
function end(socket: Duplex, problem: Problem): void {
  const [headers, body] = documentOf(problem);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on("error", () => socket.destroy());
  socket.end(`HTTP/1.1 ${problem.status} ${problem.title}\r\n${lines.join("")}\r\n${body}`);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

function documentOf(problem: Problem): [headers: Record<string, string>, body: string] {
  const id = uuidv7();
  const body = JSON.stringify(problem.document(id));
  const headers = {
    ...problem.extras.headers,
    "Content-Type": "application/problem+json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Request-Id": id,
    Connection: "close",
  };
  return [headers, body];
}
