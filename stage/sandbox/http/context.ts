import type { IncomingMessage, ServerResponse } from "node:http";
import type { FaultBook, Faults } from "../faults.js";
import type { View } from "../history.js";
import type { SandboxNetwork } from "../network.js";
import type { RecordOptions } from "../records/transaction-record.js";
import type { Collection } from "./paging.js";
import type { RateLimit } from "./rate-limit.js";

/** One request, with all that a route needs. */
export type Context = {
  readonly network: SandboxNetwork;
  readonly book: FaultBook;
  readonly options: HttpOptions;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** `http://host:port` as the client called us: what links begin with. */
  readonly base: string;
  readonly records: RecordOptions;
  /** Whose rate limit the request counts against. */
  readonly client: string;
  /** What stood in the path's `:name` places. */
  readonly params: readonly string[];
  readonly faults: Faults;
  /** What this request's server has ingested now; for streams it moves. */
  readonly view: () => View;
  readonly body: () => Promise<string>;
};

export type HttpOptions = {
  readonly limit: RateLimit;
  /** How often a stream looks for new ledgers, 5 s as Horizon's sse-update-frequency. */
  readonly lookMs: number;
  readonly resultMeta: boolean;
  /** The newest ledger as `/` knows it: up to a moment old. */
  readonly rootLatest: () => number;
  /** After how long a stream is cut, 55 s as Horizon's connection-timeout. */
  readonly streamMs: number;
  /** How long POST /transactions waits for a ledger. */
  readonly submitTimeoutMs: number;
};

export type Answer =
  | { readonly kind: "document"; readonly status?: number; readonly body: unknown }
  | { readonly kind: "collection"; readonly collection: Collection };

export type Handler = (context: Context) => Answer | Promise<Answer>;

/** @param body anything that JSON.stringify can write */
export function document(body: unknown, status = 200): Answer {
  return { kind: "document", status, body };
}

export function collection(read: Collection["read"], parseCursor?: Collection["parseCursor"]): Answer {
  return { kind: "collection", collection: parseCursor === undefined ? { read } : { read, parseCursor } };
}
