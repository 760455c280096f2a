import { listenLocally } from "../server/listen.js";
import { FaultBook } from "./faults.js";
import { RateLimit } from "./http/rate-limit.js";
import { respond } from "./http/respond.js";
import { type NetworkOptions, SandboxNetwork } from "./network.js";

export type SandboxOptions = NetworkOptions & {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** Seed of the dice that faults throw. */
  readonly seed?: number;
  /** After how many milliseconds a stream is cut, 55,000 as Horizon does. */
  readonly streamMs?: number;
  /** What a client may ask an hour, 3,600 as Horizon's default; 0 is no limit. */
  readonly requestsPerHour?: number;
  /** How many more than one request a client may send at once, 100 as Horizon's default. */
  readonly burst?: number;
  /** After how many milliseconds a stream looks for new ledgers again, 5,000 as Horizon does. */
  readonly lookMs?: number;
  /** For how many milliseconds `/` knows the same newest ledger, 1,000 as Horizon does. */
  readonly rootCacheMs?: number;
  /** Whether transactions carry `result_meta_xdr`, as Horizon's do by default; false saves its cost. */
  readonly resultMeta?: boolean;
  /** How long POST /transactions waits for its ledger before 504, 30,000 by default. */
  readonly submitTimeoutMs?: number;
};

export type Sandbox = {
  readonly url: string;
  readonly port: number;
  readonly network: SandboxNetwork;
  readonly faults: FaultBook;
  /** Closes every connection, streams too; resolves when nothing is left that keeps the process alive. */
  stop(): Promise<void>;
};

/**
 * Starts a network and a Horizon in front of it, on 127.0.0.1 only: it has no authentication, and anyone who
 * reaches it can make money.
 * @throws Error when the port is taken or the journal is not this network's
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const network = new SandboxNetwork(options);
  const faults = new FaultBook(options.seed);
  const { requestsPerHour = 3600, burst = 100, rootCacheMs = 1000 } = options;
  const http = {
    limit: new RateLimit({ requestsPerHour, burst }),
    lookMs: options.lookMs ?? 5_000,
    streamMs: options.streamMs ?? 55_000,
    submitTimeoutMs: options.submitTimeoutMs ?? 30_000,
    resultMeta: options.resultMeta ?? true,
    rootLatest: cachedFor(rootCacheMs, () => network.latest.sequence),
  };
  const server = await listenLocally(options.port ?? 0, (request, response) => {
    void respond(network, faults, http, request, response);
  });
  network.start();
  return {
    url: server.url,
    port: server.port,
    network,
    faults,
    stop: async () => {
      network.stop();
      await server.stop();
    },
  };
}

/** What `read` said last, for `ms` after it said so. */
function cachedFor<T>(ms: number, read: () => T): () => T {
  let known: { readonly value: T; readonly at: number } | null = null;
  return () => {
    const now = performance.now();
    if (known === null || now - known.at >= ms) known = { value: read(), at: now };
    return known.value;
  };
}
