import { createHmac, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { IntentEvent } from "./bank.js";
import type { FaultBook } from "./faults.js";
import type { PaymentIntent } from "./payment-intent.js";

export type WebhookTarget = {
  readonly url: string;
  /** `whsec_…`: the whole of it is the key. */
  readonly secret: string;
};

/** Stripe tries for days; a sandbox that is asked for a hook that nobody serves gives up sooner. */
const TRIES = 6;
const FIRST_PAUSE_MS = 200;
const ANSWER_WITHIN_MS = 10_000;

/** Sends what happened to intents, signed as Stripe signs (docs, "Verify webhook signatures manually"). */
export class Webhooks {
  readonly #stopping = new AbortController();
  readonly #sending = new Set<Promise<void>>();

  constructor(
    private readonly target: WebhookTarget | null,
    private readonly faults: FaultBook,
  ) {}

  /** Returns at once: Stripe's events come when they come. */
  send(type: IntentEvent, intent: PaymentIntent): void {
    const { target } = this;
    if (target === null) return;
    const fault = this.faults.meetEvent(type);
    if (fault?.outcome === "lost") return;
    // As it was when it happened, whatever becomes of it before it is sent.
    const body = JSON.stringify(eventOf(type, intent));
    const copies = fault?.outcome === "duplicated" ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const sent = (async () => {
        if (fault?.outcome === "late") await this.faults.wait(fault.ms);
        await this.#deliver(target, body);
      })();
      this.#sending.add(sent);
      void sent.finally(() => this.#sending.delete(sent));
    }
  }

  /** Resolves when everything that was sent has arrived, or was given up. */
  async settled(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #deliver({ url, secret }: WebhookTarget, body: string): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 0; attempt < TRIES && !signal.aborted; attempt++) {
      const answered = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json; charset=utf-8",
          "stripe-signature": signatureOf(body, secret, Math.floor(Date.now() / 1000)),
        },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.ok;
        },
        () => false,
      );
      if (answered) return;
      await sleep(FIRST_PAUSE_MS * 2 ** attempt, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** @param seconds Unix time: receivers refuse what was signed too long ago */
export function signatureOf(body: string, secret: string, seconds: number): string {
  const signature = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
  return `t=${seconds},v1=${signature}`;
}

function eventOf(type: IntentEvent, intent: PaymentIntent): Record<string, unknown> {
  return {
    id: `evt_${randomBytes(12).toString("hex")}`,
    object: "event",
    api_version: "2026-10-28.endive",
    created: Math.floor(Date.now() / 1000),
    data: { object: intent },
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
  };
}
