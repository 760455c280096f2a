import { v7 as uuidv7 } from "uuid";
import type { ChargeId } from "../../src/entities/charge.js";
import type { ChargeOrder } from "../../src/providers/provider.js";
import { stripeClients } from "../../src/providers/stripe/connect.js";
import { StripeProvider } from "../../src/providers/stripe/provider.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import type { FaultInput } from "../../stage/stripe-sandbox/faults.js";
import {
  type StripeSandbox,
  type StripeSandboxOptions,
  startStripeSandbox,
} from "../../stage/stripe-sandbox/server.js";
import type { ProviderStage } from "./provider-stage.js";

export const API_KEY = "sk_test_paidonce";

export type StripeStage = ProviderStage & {
  readonly provider: StripeProvider;
  readonly sandbox: StripeSandbox;
};

/** The provider and a Stripe of its own, with a way to take the latter off the network. */
export async function openStripeStage(options: StripeSandboxOptions = {}): Promise<StripeStage> {
  const sandbox = await startStripeSandbox({ apiKey: API_KEY, ...options });
  const online = stripeClients({ apiKey: API_KEY, apiUrl: sandbox.url });
  // The port of nobody: refused by the kernel.
  const offline = stripeClients({ apiKey: API_KEY, apiUrl: "http://127.0.0.1:9" });
  let isDown = false;
  const next = (fault: FaultInput) => () => void sandbox.faults.add({ count: 1, ...fault });
  const disarm = () => {
    isDown = false;
    sandbox.faults.clear();
  };
  return {
    sandbox,
    provider: new StripeProvider((signal) => (isDown ? offline : online)(signal)),
    newCharge: () => anOrder(),
    newDeclined: () => anOrder({ payload: { payment_method: "pm_card_visa_chargeDeclined" } }),
    faults: {
      unreachable: () => {
        isDown = true;
      },
      busy: next({ kind: "rate_limit" }),
      late: next({ kind: "late" }),
      slow_answer: next({ kind: "slow_answer" }),
      dropped_after: next({ kind: "drop_after" }),
      error_after: next({ kind: "error_after" }),
      error_before: next({ kind: "error_before" }),
      error_kept: next({ kind: "error_before", kept: true }),
      reset: next({ kind: "reset" }),
      broken_answer: next({ kind: "truncate" }),
      in_flight: next({ kind: "in_flight" }),
      twice: next({ kind: "twice" }),
    },
    disarm,
    settleDown: async () => {
      disarm();
      await sandbox.settleDown();
    },
    moneyTaken: async ({ id }) => sandbox.bank.taken(id).length,
    stop: () => sandbox.stop(),
  };
}

let orders = 0;

export function anOrder(overrides: Partial<ChargeOrder> = {}): ChargeOrder {
  return {
    id: uuidv7() as ChargeId,
    merchantId: uuidv7(),
    reference: `order-${++orders}`,
    amount: parseStroops("12.50"),
    currency: "EUR",
    asset: null,
    account: null,
    payload: { payment_method: "pm_card_visa" },
    providerId: null,
    createdAt: new Date(),
    ...overrides,
  };
}
