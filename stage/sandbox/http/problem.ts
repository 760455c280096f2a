import type { JsonObject } from "../json.js";

/** An answer in Horizon's `application/problem+json` (support/render/problem and horizon's problems). */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly type: string,
    readonly title: string,
    readonly status: number,
    readonly detail: string,
    readonly extras?: JsonObject,
  ) {
    super(`${status} ${type}`);
  }

  body(): JsonObject {
    return {
      type: `https://stellar.org/horizon-errors/${this.type}`,
      title: this.title,
      status: this.status,
      detail: this.detail,
      ...(this.extras === undefined ? {} : { extras: this.extras }),
    };
  }
}

export function badRequest(field: string, reason: string): Problem {
  return problemOf(400, "bad_request", { invalid_field: field, reason });
}

export function notFound(): Problem {
  return problemOf(404, "not_found");
}

export function beforeHistory(): Problem {
  return problemOf(410, "before_history");
}

export function timeout(extras?: JsonObject): Problem {
  return problemOf(504, "timeout", extras);
}

/** Horizon's problems by name, and what a proxy in front would say where Horizon has none (502). */
const BY_TYPE: Record<string, { status: number; title: string; detail: string }> = {
  bad_request: { status: 400, title: "Bad Request", detail: "The request you sent was invalid in some way." },
  not_found: {
    status: 404,
    title: "Resource Missing",
    detail:
      "The resource at the url requested was not found.  This usually occurs for one of two reasons:  The url requested is not valid, or no data in our database could be found with the parameters provided.",
  },
  before_history: {
    status: 410,
    title: "Data Requested Is Before Recorded History",
    detail:
      "This horizon instance is configured to only track a portion of the stellar network's latest history. This request is asking for results prior to the recorded history known to this horizon instance.",
  },
  rate_limit_exceeded: {
    status: 429,
    title: "Rate Limit Exceeded",
    detail:
      "The rate limit for the requesting IP address is over its alloted limit.  The allowed limit and requests left per time period are communicated to clients via the http response headers 'X-RateLimit-*' headers.",
  },
  server_error: {
    status: 500,
    title: "Internal Server Error",
    detail: "An error occurred while processing this request.",
  },
  bad_gateway: { status: 502, title: "Bad Gateway", detail: "The server behind did not answer." },
  service_unavailable: {
    status: 503,
    title: "Service Unavailable",
    detail: "The request cannot be serviced at this time.",
  },
  stale_history: {
    status: 503,
    title: "Historical DB Is Too Stale",
    detail: "This horizon instance is configured to reject client requests when it is lagging behind.",
  },
  still_ingesting: {
    status: 503,
    title: "Still Ingesting",
    detail: "Data cannot be presented because it's still being ingested.",
  },
  server_over_capacity: {
    status: 503,
    title: "Server Over Capacity",
    detail: "This horizon server is currently overloaded.",
  },
  timeout: {
    status: 504,
    title: "Timeout",
    detail:
      "Your request timed out before completing.  Please try your request again. If you are submitting a transaction make sure you are sending exactly the same transaction (with the same sequence number).",
  },
};

/** A problem by type, or by status alone (the first type that has it). */
export function problemOf(status: number, type?: string, extras?: JsonObject): Problem {
  const name = type ?? Object.keys(BY_TYPE).find((key) => BY_TYPE[key]?.status === status) ?? "server_error";
  const known = BY_TYPE[name];
  const detail = known?.detail ?? "A fault was asked for.";
  return new Problem(name, known?.title ?? name, status, detail, extras);
}
