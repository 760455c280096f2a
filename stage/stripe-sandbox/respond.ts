import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { brokenInside, inFlight, StripeProblem, tooMany } from "./errors.js";
import { type Fault, isOneOf } from "./faults.js";
import { parseForm } from "./form.js";
import type { Answer, KeptAnswers } from "./idempotency.js";
import { answerAdmin, answerApi, type State } from "./routes.js";

/** Answers one request: faults first, then the key, then the work. */
export async function respond(
  state: State,
  kept: KeptAnswers,
  apiKey: string | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? "GET";
  const url = URL.parse(request.url ?? "/", "http://127.0.0.1");
  if (url === null) return void response.writeHead(400).end();
  const { pathname } = url;
  if (pathname.startsWith("/sandbox")) {
    const body = await readBody(request);
    return write(response, await answered(async () => answerAdmin(state, method, url, body)));
  }
  const fault = state.faults.meet(method, pathname);
  if (isOneOf(fault, "reset")) return drop(request);
  const body = await readBody(request);
  const work = async () =>
    answerApi(state, method, pathname, parseForm(method === "GET" ? url.search : body));
  const once = async (): Promise<Answer> => {
    try {
      refuse(fault, request, apiKey);
      const key = method === "POST" ? request.headers["idempotency-key"] : undefined;
      if (typeof key !== "string") return (await disturbed(state, fault, work)).answer;
      return await kept.answer(key, `${method} ${pathname}?${sorted(body)}`, () =>
        disturbed(state, fault, work),
      );
    } catch (error) {
      return answerOf(error).answer;
    }
  };
  if (isOneOf(fault, "twice")) await once();
  const answer = await once();
  if (isOneOf(fault, "drop_after")) return drop(request);
  if (isOneOf(fault, "slow_answer")) await state.faults.wait(fault.ms);
  write(response, answer, isOneOf(fault, "truncate"));
}

/** What Stripe says before anything begins. @throws StripeProblem */
function refuse(fault: Fault | null, request: IncomingMessage, apiKey: string | null): void {
  const given = keyOf(request.headers.authorization ?? "");
  const isKnown = apiKey === null ? given.startsWith("sk_test_") : given === apiKey;
  if (!isKnown || isOneOf(fault, "unauthorized"))
    throw new StripeProblem(401, "invalid_request_error", `Invalid API Key provided: ${given}`);
  if (isOneOf(fault, "rate_limit")) throw tooMany("rate_limit", fault.retryAfter);
  if (isOneOf(fault, "lock_timeout")) throw tooMany("lock_timeout", 0);
  if (isOneOf(fault, "in_flight")) throw inFlight(String(request.headers["idempotency-key"]));
  if (isOneOf(fault, "error_before") && !fault.kept) throw brokenInside(false);
}

/** As a bearer, or as the user name of basic auth, as `curl -u sk_test_…:` sends it. */
function keyOf(authorization: string): string {
  const [, scheme, value = ""] = /^(Bearer|Basic) (\S+)$/.exec(authorization) ?? [];
  return scheme === "Basic" ? (Buffer.from(value, "base64").toString("utf8").split(":")[0] ?? "") : value;
}

/** The work with what befalls it inside, where a key already holds it. */
async function disturbed(state: State, fault: Fault | null, work: () => Promise<unknown>) {
  if (isOneOf(fault, "late")) await state.faults.wait(fault.ms);
  const isBroken = isOneOf(fault, "error_before");
  const done = isBroken ? answerOf(brokenInside(true)) : await outcomeOf(work);
  return isOneOf(fault, "error_after") ? answerOf(brokenInside(true)) : done;
}

async function answered(work: () => Promise<unknown>): Promise<Answer> {
  return (await outcomeOf(work)).answer;
}

async function outcomeOf(work: () => Promise<unknown>): Promise<{ answer: Answer; isKept: boolean }> {
  try {
    return { answer: { status: 200, body: JSON.stringify(await work()), headers: {} }, isKept: true };
  } catch (error) {
    return answerOf(error);
  }
}

function answerOf(error: unknown): { answer: Answer; isKept: boolean } {
  const problem = error instanceof StripeProblem ? error : brokenInside(false);
  const { headers = {}, isKept = false } = problem.extras;
  return { answer: { status: problem.status, body: JSON.stringify(problem.body()), headers }, isKept };
}

function write(response: ServerResponse, { status, body, headers }: Answer, isCut = false): void {
  const bytes = Buffer.from(body);
  const whole = isCut ? bytes.subarray(0, bytes.length >> 1) : bytes;
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": whole.length,
    "request-id": `req_${randomBytes(7).toString("hex")}`,
    "stripe-version": "2026-10-28.endive",
    ...headers,
  });
  response.end(whole);
}

/** RST rather than FIN, as a balancer that has lost its server. */
function drop(request: IncomingMessage): void {
  request.socket.resetAndDestroy();
}

/** The order of parameters means nothing. */
function sorted(body: string): string {
  const params = new URLSearchParams(body);
  params.sort();
  return params.toString();
}

const MAX_BODY = 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY) throw new Error("the body is too large");
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}
