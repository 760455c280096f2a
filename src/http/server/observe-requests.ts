import type { Context, Middleware, Next } from "koa";
import type { Logger } from "pino";
import { v7 as uuidv7 } from "uuid";
import type { httpMetrics } from "../../metrics/registry.js";
import { inSpan, parseTraceParent } from "../../tracing.js";

/** Times and traces every request, under its route's template, by the status that it was answered with. */
export function observeRequests(observe: ReturnType<typeof httpMetrics>): Middleware {
  return async (context: Context, next: Next) => {
    const startedAt = performance.now();
    const parent = parseTraceParent(context.get("traceparent"));
    const facts = { "http.request.method": methodOf(context) };
    await inSpan("HTTP", { parent, kind: "server", facts }, async (span) => {
      await next();
      span.rename(`${methodOf(context)} ${routeOf(context)}`);
      span.tell({ "http.route": routeOf(context), "http.response.status_code": context.status });
    });
    const seconds = (performance.now() - startedAt) / 1000;
    observe({ method: methodOf(context), route: routeOf(context), status: context.status, seconds });
  };
}

/** The template, such as `/v1/checkout/sessions/:id`; never the path, whose ids would make a series each. */
export function routeOf(context: Context): string {
  if (context.path.startsWith("/ops/queues/")) return "/ops/queues/*";
  const matched: unknown = context._matchedRoute;
  return typeof matched === "string" ? matched : "none";
}

/** Anybody can send any word as a method. */
function methodOf({ method }: Context): string {
  return ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].includes(method) ? method : "other";
}

/** What a caller may name a request: enough to be found again, nothing that could forge a log line. */
const ACCEPTABLE = /^[\w.-]{8,64}$/;

/** Names each request, by the caller's `X-Request-Id` where it sent a fit one, and logs how it went. */
export function requestId(logger: Logger) {
  return async (context: Context, next: Next): Promise<void> => {
    const given = context.get("X-Request-Id");
    const id = ACCEPTABLE.test(given) ? given : uuidv7();
    context.state.requestId = id;
    context.set("X-Request-Id", id);
    const startedAt = performance.now();
    await next();
    const ms = Math.round(performance.now() - startedAt);
    const { method, path, status } = context;
    logger.debug({ requestId: id, method, path, status, ms }, `${method} ${path} ${status} in ${ms} ms`);
  };
}
