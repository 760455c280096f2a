/**
 * src/http: the Koa API. Small middleware, composed in one visible list in `app.ts`; no decision about money
 * is made here.
 */
import type { Context, Next } from "koa";
import type { Logger } from "pino";

/** Base of every problem type: stable, so that clients can match on it. Each has a section in docs/problems.md. */
const TYPES = "https://paidonce.dev/problems/";

/** An error that a client may see, as RFC 9457 problem details. */
export class Problem extends Error {
  override readonly name = "Problem";

  /**
   * @param kind the last part of the `type`, such as `not-found`: never renamed
   * @param detail what happened in this case and what to do, in words for the developer who sees it
   */
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

/** Turns whatever is thrown into a problem document. What we did not foresee shows nothing of itself. */
export function problems(logger: Logger) {
  return async (context: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (context.body === undefined && context.status >= 400) throw unanswered(context);
    } catch (error) {
      const problem = error instanceof Problem ? error : unforeseen(error, logger);
      context.status = problem.status;
      context.body = JSON.stringify({
        type: `${TYPES}${problem.kind}`,
        title: problem.title,
        status: problem.status,
        detail: problem.detail,
      });
      context.type = "application/problem+json";
    }
  };
}

/** What the router says by a bare status: no such path, or not by this method (`Allow` names those that are). */
function unanswered({ method, path, status }: Context): Problem {
  return status === 404
    ? new Problem(404, "not-found", "Not found", `There is nothing at ${method} ${path}.`)
    : new Problem(status, "method-not-allowed", "Method not allowed", `${path} can't be asked by ${method}.`);
}

function unforeseen(error: unknown, logger: Logger): Problem {
  logger.error({ err: error }, "a request failed");
  return new Problem(
    500,
    "internal",
    "Internal error",
    "Something failed on our side. Try again, or call support.",
  );
}
