import { retryAfterMs } from "../backoff.js";
import type { LedgerSequence } from "../stellar/operation-id.js";

/**
 * What went wrong, by what the caller must do:
 *
 * - `bad_request`: our mistake or the server's refusal; the same request will fail again
 * - `not_found`: Horizon itself says so: the account does not exist yet, or the transaction is not known **here, yet**
 * - `before_history`: older than what this server keeps: another server, or an alarm
 * - `rate_limited`: the server refused for its rate limit (429): wait `retryAfterMs`
 * - `limited`: not asked at all, since the budget of requests had no room for this purpose in time
 * - `unavailable`: the server can't answer now (any 5xx, 499, a stale or still ingesting one). Never an answer
 *   about payments.
 * - `broken_body`: 200 with JSON that was cut off or is something else: as a 502
 * - `behind`: this server has not ingested the ledger in question; another one behind the same address may have
 * - `timeout`, `network`: no complete answer
 * - `too_large`: one thing in the answer is over the bound, and has no id that can be read
 */
export type HorizonErrorKind =
  | "bad_request"
  | "not_found"
  | "before_history"
  | "rate_limited"
  | "limited"
  | "unavailable"
  | "broken_body"
  | "behind"
  | "timeout"
  | "network"
  | "too_large";

/** The one list of what is worth the same request again, after a wait. */
const RETRYABLE: Readonly<Record<HorizonErrorKind, boolean>> = {
  bad_request: false,
  // It is an answer. Who watches an account, or waits for a transaction, asks again in its own rhythm.
  not_found: false,
  before_history: false,
  rate_limited: true,
  limited: true,
  unavailable: true,
  broken_body: true,
  behind: true,
  timeout: true,
  network: true,
  too_large: false,
};

/** A proxy's garbage (or a Unix time) must not put ingest to sleep for years. */
const MAX_RETRY_AFTER_MS = 3_600_000;

type Details = {
  readonly status?: number | null;
  readonly problemType?: string | null;
  readonly retryAfterMs?: number | null;
  readonly latestLedger?: LedgerSequence | null;
  readonly cause?: unknown;
};

export class HorizonError extends Error {
  override readonly name = "HorizonError";
  readonly retryable: boolean;
  /** HTTP status; null when there was none. */
  readonly status: number | null;
  /** Last part of the problem's `type`, such as `stale_history`; null when the body was no problem of Horizon. */
  readonly problemType: string | null;
  /** How long the server asked us to wait, in milliseconds; null: back off with jitter. */
  readonly retryAfterMs: number | null;
  /** Newest ledger that the answering server had ingested: a `not_found` says nothing about later ones. */
  readonly latestLedger: LedgerSequence | null;

  constructor(
    readonly kind: HorizonErrorKind,
    message: string,
    { status = null, problemType = null, retryAfterMs = null, latestLedger = null, cause }: Details = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.retryable = RETRYABLE[kind];
    this.status = status;
    this.problemType = problemType;
    this.retryAfterMs = retryAfterMs;
    this.latestLedger = latestLedger;
  }
}

/** The server is of another network than the configuration: nothing it says may be counted. */
export class WrongNetworkError extends Error {
  override readonly name = "WrongNetworkError";

  constructor(url: string, expected: string, served: string) {
    super(`${url} serves the network ${JSON.stringify(served)}, configured is ${JSON.stringify(expected)}`);
  }
}

/**
 * Reads an HTTP answer other than 200 as an error, by the rules of Horizon's problems.
 * @param where method and path, for the message
 * @param body its text, cut at any length
 */
export function errorOfResponse(where: string, status: number, headers: Headers, body: string): HorizonError {
  const problem = problemOf(body);
  const kind = kindOf(status, problem.type);
  const words = [problem.type, problem.detail ?? problem.title].filter((text) => text !== null).join(": ");
  return new HorizonError(kind, `${where}: HTTP ${status}${words === "" ? "" : ` ${words}`}`, {
    status,
    problemType: problem.type,
    retryAfterMs: kind === "rate_limited" || kind === "unavailable" ? retryAfterOf(headers) : null,
    latestLedger: latestLedgerOf(headers),
  });
}

function kindOf(status: number, problemType: string | null): HorizonErrorKind {
  switch (status) {
    case 404:
      // A balancer's or a wrong path's 404 must never pass for "no such transaction".
      return problemType === "not_found" ? "not_found" : "unavailable";
    case 408:
    case 499:
      return "unavailable";
    case 410:
      return "before_history";
    case 429:
      return "rate_limited";
    default:
      return status >= 400 && status < 500 ? "bad_request" : "unavailable";
  }
}

/**
 * How long Horizon asks us to wait, in milliseconds, by the seconds in `Retry-After`; null where it does not say.
 * `X-Ratelimit-Reset` is no wait: it says when the whole burst is back (101 s by default), while the next request fits after
 * one second.
 */
export function retryAfterOf(headers: Headers): number | null {
  const ms = retryAfterMs(headers.get("retry-after"));
  return ms === null ? null : Math.min(ms, MAX_RETRY_AFTER_MS);
}

/** Newest ledger that the answering server has ingested, from the `Latest-Ledger` header; null when it is missing. */
export function latestLedgerOf(headers: Headers): LedgerSequence | null {
  const text = headers.get("latest-ledger");
  return text !== null && /^\d{1,10}$/.test(text) ? (Number(text) as LedgerSequence) : null;
}

type Problem = {
  type: string | null;
  title: string | null;
  detail: string | null;
};

function problemOf(body: string): Problem {
  let fields: Partial<Record<keyof Problem, unknown>> = {};
  try {
    fields = Object(JSON.parse(body));
  } catch {
    // HTML of a proxy, or cut off: the status alone decides.
  }
  const text = (value: unknown) => (typeof value === "string" ? value.slice(0, 300) : null);
  return {
    type: text(fields.type)?.split("/").at(-1) ?? null,
    title: text(fields.title),
    detail: text(fields.detail),
  };
}

/** Whether a server has answered that it does not have what was asked for: no account, no transaction, not yet or never. */
export function isNotFound(error: unknown): error is HorizonError {
  return error instanceof HorizonError && error.kind === "not_found";
}
