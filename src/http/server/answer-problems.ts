import type { Context, Next } from "koa";
import type { Logger } from "pino";
import { databaseFault } from "../../postgres/database-errors.js";
import { Problem } from "./problem.js";

/** Turns whatever is thrown into a problem document. What we did not foresee shows nothing of itself. */
export function answerProblems(logger: Logger) {
  return async (context: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (context.body === undefined && context.status >= 400) throw unanswered(context);
    } catch (error) {
      const problem = error instanceof Problem ? error : unforeseen(error, context, logger);
      context.status = problem.status;
      context.set(problem.extras.headers ?? {});
      context.body = JSON.stringify(problem.document(context.state.requestId));
      context.type = "application/problem+json";
    }
  };
}

/** What nobody has answered: no such path, or not by this method. */
function unanswered({ method, path, status }: Context): Problem {
  if (status === 405) return new Problem("method-not-allowed", `${path} can't be asked by ${method}.`);
  return new Problem("not-found", `There is nothing at ${method} ${path}.`);
}

function unforeseen(error: unknown, context: Context, logger: Logger): Problem {
  const requestId = context.state.requestId;
  const fault = databaseFault(error);
  if (fault === "unavailable" || fault === "conflict") {
    logger.warn({ err: error, requestId }, "a request found the database away or too busy");
    return new Problem(
      "unavailable",
      "The database can't serve this now. Nothing was changed. Try again, with the same Idempotency-Key.",
      { headers: { "Retry-After": "1" } },
    );
  }
  logger.error({ err: error, requestId }, "a request failed");
  return new Problem("internal", "Something failed on our side. Try again, or call support.");
}
