import type { Context, Next } from "koa";
import type { Logger } from "pino";
import { databaseFault } from "../../postgres/database-errors.js";

/** Base of every problem type: stable, so that clients can match on it. Each has a section in docs/problems.md. */
const TYPES = "https://paidonce.dev/problems/";

/** Everything that the API refuses or can't do, by the last part of its `type`, which is never renamed. */
export const PROBLEMS = {
  "invalid-request": { status: 400, title: "Invalid request" },
  "invalid-json": { status: 400, title: "Body is not JSON" },
  "malformed-request": { status: 400, title: "Malformed request" },
  "idempotency-key-missing": { status: 400, title: "Idempotency-Key is missing" },
  "idempotency-key-invalid": { status: 400, title: "Idempotency-Key is invalid" },
  "webhook-signature-invalid": { status: 400, title: "Webhook signature is invalid" },
  "webhook-event-refused": { status: 400, title: "Webhook event refused" },
  unauthorized: { status: 401, title: "Unauthorized" },
  forbidden: { status: 403, title: "Forbidden" },
  "wrong-mode": { status: 403, title: "Key of the other mode" },
  "not-found": { status: 404, title: "Not found" },
  "method-not-allowed": { status: 405, title: "Method not allowed" },
  "request-timeout": { status: 408, title: "Request timeout" },
  conflict: { status: 409, title: "Conflict" },
  "charge-reference-used": { status: 409, title: "Reference was charged before" },
  "account-not-payable": { status: 409, title: "Receiving account can't be paid" },
  "too-many-endpoints": { status: 409, title: "Too many webhook endpoints" },
  "idempotency-key-in-flight": { status: 409, title: "First request is in flight" },
  "body-too-large": { status: 413, title: "Body too large" },
  "unsupported-media-type": { status: 415, title: "Unsupported media type" },
  "expectation-failed": { status: 417, title: "Expectation failed" },
  "idempotency-key-reused": { status: 422, title: "Idempotency-Key was used for another request" },
  "session-refused": { status: 422, title: "Session refused" },
  "charge-refused": { status: 422, title: "Charge refused" },
  "transaction-refused": { status: 422, title: "Transaction refused" },
  "verdict-refused": { status: 422, title: "Verdict refused" },
  "endpoint-refused": { status: 422, title: "Webhook endpoint refused" },
  "account-refused": { status: 422, title: "Receiving account refused" },
  "rate-limited": { status: 429, title: "Too many requests" },
  "headers-too-large": { status: 431, title: "Request head too large" },
  internal: { status: 500, title: "Internal error" },
  unavailable: { status: 503, title: "Temporarily unavailable" },
} as const;

export type ProblemKind = keyof typeof PROBLEMS;

/** One thing that is wrong with a request. */
export type FieldError = {
  readonly in: "body" | "query" | "path" | "header";
  /** Dotted path to the field, such as `metadata.order`; empty for the whole. */
  readonly field: string;
  readonly detail: string;
};

type Extras = {
  /** Validation errors, one per field. */
  readonly errors?: readonly FieldError[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Members of this kind alone (RFC 9457, 3.2): each is described in schemas/problem.ts. */
  readonly members?: Readonly<Record<string, string | readonly string[]>>;
};

/** An error that a client may see, as RFC 9457 problem details. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly title: string;

  /** @param detail what happened in this case and what to do, in words for the developer who sees it */
  constructor(
    readonly kind: ProblemKind,
    readonly detail: string,
    readonly extras: Extras = {},
  ) {
    super(detail);
    this.title = PROBLEMS[kind].title;
    this.status = PROBLEMS[kind].status;
  }

  /** @param requestId named in our log, for whoever asks us about it */
  document(requestId: string): Record<string, unknown> {
    const { errors, members } = this.extras;
    return {
      type: `${TYPES}${this.kind}`,
      title: this.title,
      status: this.status,
      detail: this.detail,
      ...(errors === undefined ? {} : { errors }),
      ...members,
      request_id: requestId,
    };
  }
}

/** A reason as it is thrown further in, as a sentence. */
export function sentence(reason: string): string {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}

/** One field of the body is wrong in a way that its schema can't see. */
export function invalidField(field: string, detail: string): Problem {
  const errors: FieldError[] = [{ in: "body", field, detail }];
  return new Problem("invalid-request", `Not valid: ${field}. Each is explained in errors.`, { errors });
}

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
