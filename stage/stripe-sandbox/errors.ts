import type { PaymentIntent } from "./payment-intent.js";

/** What Stripe calls the kinds of its errors (API reference, "Errors"). */
export type ErrorType = "api_error" | "card_error" | "idempotency_error" | "invalid_request_error";

/** An answer of Stripe's that is an error, in its own words and shape. */
export class StripeProblem extends Error {
  override readonly name = "StripeProblem";

  constructor(
    readonly status: number,
    readonly type: ErrorType,
    message: string,
    readonly extras: {
      readonly code?: string;
      readonly declineCode?: string;
      readonly param?: string;
      readonly intent?: PaymentIntent;
      /** Whether the answer is kept under the request's idempotency key: Stripe keeps what came of work that began. */
      readonly isKept?: boolean;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
  }

  body(): Record<string, unknown> {
    const { code, declineCode, param, intent } = this.extras;
    return {
      error: {
        type: this.type,
        message: this.message,
        ...(code === undefined ? {} : { code, doc_url: `https://stripe.com/docs/error-codes/${code}` }),
        ...(declineCode === undefined ? {} : { decline_code: declineCode }),
        ...(param === undefined ? {} : { param }),
        ...(intent === undefined ? {} : { payment_intent: intent }),
      },
    };
  }
}

/** The request itself is wrong: nothing began, nothing is kept. */
export function invalidRequest(message: string, param?: string, code?: string): StripeProblem {
  return new StripeProblem(400, "invalid_request_error", message, {
    ...(param === undefined ? {} : { param }),
    ...(code === undefined ? {} : { code }),
  });
}

export function noSuch(what: string, id: string, param: string): StripeProblem {
  return new StripeProblem(404, "invalid_request_error", `No such ${what}: '${id}'`, {
    code: "resource_missing",
    param,
  });
}

export function unexpectedState(message: string, intent: PaymentIntent): StripeProblem {
  return new StripeProblem(400, "invalid_request_error", message, {
    code: "payment_intent_unexpected_state",
    intent,
    isKept: true,
  });
}

export function brokenInside(isKept: boolean): StripeProblem {
  return new StripeProblem(500, "api_error", "An unknown error occurred", { isKept });
}

export function inFlight(key: string): StripeProblem {
  return new StripeProblem(
    409,
    "idempotency_error",
    `There is currently another in-progress request using this Idempotent Key: ${key}.`,
    { code: "idempotency_key_in_use" },
  );
}

export function tooMany(code: "rate_limit" | "lock_timeout", retryAfter: number): StripeProblem {
  return new StripeProblem(429, "invalid_request_error", "Request rate limit exceeded.", {
    code,
    headers: { "retry-after": String(retryAfter) },
  });
}
