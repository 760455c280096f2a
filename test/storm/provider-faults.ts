import type { FaultInput as HorizonFault } from "../../stage/sandbox/faults.js";
import type { FaultInput as StripeFault } from "../../stage/stripe-sandbox/faults.js";
import type { StormWorld } from "./world.js";

/** Longer than the deadline of a call. */
const TOO_LATE_MS = 3_000;

/** More than will ever be met: how many are left of it tells how often it was. */
const PLENTY = 1_000_000;

const STRIPE: Readonly<Record<string, StripeFault>> = {
  "Stripe: charges after we gave up": { kind: "late", ms: TOO_LATE_MS, probability: 0.02 },
  "Stripe: charges, and answers too late": { kind: "slow_answer", ms: TOO_LATE_MS, probability: 0.02 },
  "Stripe: charges, and drops the connection": { kind: "drop_after", probability: 0.02 },
  "Stripe: charges, and says 500": { kind: "error_after", probability: 0.02 },
  "Stripe: says 500": { kind: "error_before", probability: 0.02 },
  "Stripe: says 500, for ever under that key": { kind: "error_before", kept: true, probability: 0.01 },
  "Stripe: resets the connection": { kind: "reset", probability: 0.01 },
  "Stripe: half an answer": { kind: "truncate", probability: 0.01 },
  "Stripe: 429": { kind: "rate_limit", probability: 0.02 },
  "Stripe: 429, the object is locked": { kind: "lock_timeout", probability: 0.01 },
  "Stripe: 409, the key is in use": { kind: "in_flight", method: "POST", probability: 0.02 },
  "Stripe: gets the request twice": { kind: "twice", probability: 0.02 },
  "Stripe: webhook lost": { kind: "webhook", outcome: "lost", probability: 0.15 },
  "Stripe: webhook twice": { kind: "webhook", outcome: "duplicated", probability: 0.1 },
  "Stripe: webhook late": { kind: "webhook", outcome: "late", ms: TOO_LATE_MS, probability: 0.1 },
};

const HORIZON: Readonly<Record<string, HorizonFault>> = {
  "Horizon: applies it, and says 504": { kind: "submit", outcome: "applied_504", probability: 0.04 },
  "Horizon: loses it, and says 504": { kind: "submit", outcome: "lost_504", probability: 0.06 },
  "Horizon: applies it, and says tx_bad_seq": {
    kind: "submit",
    outcome: "applied_bad_seq",
    probability: 0.03,
  },
  "Horizon: try again later": { kind: "submit", outcome: "try_again_later", probability: 0.05 },
  "Horizon: 503": { kind: "status", status: 503, probability: 0.01 },
  "Horizon: 500": { kind: "status", status: 500, path: "/transactions", probability: 0.01 },
  "Horizon: 429": { kind: "status", status: 429, retryAfter: 1, path: "/transactions", probability: 0.01 },
  "Horizon: lags three ledgers behind": { kind: "behind", ledgers: 3, probability: 0.05 },
  "Horizon: half an answer": { kind: "truncate", probability: 0.01 },
  "Horizon: slow": { kind: "delay", ms: 800, probability: 0.02 },
};

/** What the providers do wrong all through the run, each by its own dice. */
export class ProviderFaults {
  readonly #stripe = new Map<number, string>();
  readonly #horizon = new Map<number, string>();
  /** By name, once they have ended. */
  readonly met = new Map<string, number>();

  constructor(private readonly world: StormWorld) {}

  async begin(): Promise<void> {
    const { stripe, sandbox } = this.world;
    for (const [name, fault] of Object.entries(STRIPE)) {
      this.#stripe.set(stripe.faults.add({ ...fault, count: PLENTY }), name);
    }
    for (const [name, fault] of Object.entries(HORIZON)) {
      this.#horizon.set(await sandbox.addFault({ ...fault, count: PLENTY }), name);
    }
  }

  /** Everything is answered as it should be from now on; what was delayed is done. */
  async end(): Promise<void> {
    const { stripe, sandbox } = this.world;
    this.#count(this.#stripe, stripe.faults.list());
    this.#count(this.#horizon, await sandbox.listFaults());
    await sandbox.clearFaults();
    await stripe.settleDown();
  }

  #count(names: ReadonlyMap<number, string>, rules: readonly { id: number; left: number | null }[]): void {
    for (const { id, left } of rules) {
      const name = names.get(id);
      if (name !== undefined && left !== null) this.met.set(name, PLENTY - left);
    }
  }
}
