import { Journal } from "../server/journal.js";
import { listenLocally } from "../server/listen.js";
import { Bank } from "./bank.js";
import { FaultBook } from "./faults.js";
import { KeptAnswers } from "./idempotency.js";
import type { PaymentIntent } from "./payment-intent.js";
import { respond } from "./respond.js";
import { Webhooks, type WebhookTarget } from "./webhooks.js";

export type StripeSandboxOptions = {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** Seed of the dice that faults throw. */
  readonly seed?: number;
  /** The one key that it takes; any `sk_test_…` when left out. */
  readonly apiKey?: string;
  /** Where events go; nowhere when left out. */
  readonly webhook?: WebhookTarget;
  /** A file that keeps the intents over restarts; nothing is kept when left out. */
  readonly journal?: string;
  /** How long a new intent can't be found by searching, 0 by default. */
  readonly searchLagMs?: number;
};

export type StripeSandbox = {
  readonly url: string;
  readonly port: number;
  readonly bank: Bank;
  readonly faults: FaultBook;
  readonly kept: KeptAnswers;
  readonly webhooks: Webhooks;
  /** Faults end, what waited goes on; resolves when every request is done with, and every event delivered. */
  settleDown(): Promise<void>;
  /** Closes every connection; resolves when nothing is left that keeps the process alive. */
  stop(): Promise<void>;
};

/** Starts on 127.0.0.1 only. @throws Error when the port is taken */
export async function startStripeSandbox(options: StripeSandboxOptions = {}): Promise<StripeSandbox> {
  const faults = new FaultBook(options.seed);
  const webhooks = new Webhooks(options.webhook ?? null, faults);
  const journal = options.journal === undefined ? null : new Journal<PaymentIntent>(options.journal);
  const bank = new Bank((event, intent) => webhooks.send(event, intent), journal);
  const kept = new KeptAnswers();
  const state = { bank, faults, searchLagMs: options.searchLagMs ?? 0 };
  const underWay = new Set<Promise<void>>();
  const server = await listenLocally(options.port ?? 0, (request, response) => {
    const answered = respond(state, kept, options.apiKey ?? null, request, response)
      // A client that hung up while it sent: there is nobody to answer.
      .catch(() => void response.destroy())
      .finally(() => underWay.delete(answered));
    underWay.add(answered);
  });
  return {
    url: server.url,
    port: server.port,
    bank,
    faults,
    kept,
    webhooks,
    settleDown: async () => {
      faults.clear();
      while (underWay.size > 0) {
        faults.release();
        await Promise.race([...underWay, new Promise((resolve) => setImmediate(resolve))]);
      }
      faults.release();
      await webhooks.settled();
    },
    stop: async () => {
      webhooks.stop();
      faults.release();
      await server.stop();
    },
  };
}
