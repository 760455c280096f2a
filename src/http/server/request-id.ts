import type { Context, Next } from "koa";
import type { Logger } from "pino";
import { v7 as uuidv7 } from "uuid";

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
