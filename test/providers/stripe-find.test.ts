import { expect } from "chai";
import type { ChargeOrder } from "../../src/providers/provider.js";
import { anOrder, openStripeStage, type StripeStage } from "./stripe-stage.js";

const unhurried = () => new AbortController().signal;

/** Stripe takes another try of an intent that has failed: until it is cancelled nobody may say that it never succeeds. */
describe("asking Stripe what became of a charge", () => {
  let stage: StripeStage;

  before(async () => {
    stage = await openStripeStage();
  });
  afterEach(() => stage.settleDown());
  after(() => stage.stop());

  const find = (order: ChargeOrder) => stage.provider.find(order, unhurried());
  const statusOf = ({ providerId }: ChargeOrder) => stage.sandbox.bank.retrieve(providerId ?? "").status;

  /** Stripe has declined the card, and has not heard of the cancellation. */
  async function declined(payment_method: string): Promise<ChargeOrder> {
    const order = anOrder({ payload: { payment_method } });
    const outcome = await stage.provider.prepare(order, unhurried());
    if (outcome.kind !== "prepared") throw new Error(JSON.stringify(outcome));
    const named = { ...order, providerId: outcome.providerId };
    stage.sandbox.faults.add({ kind: "reset", ending: "/cancel", count: 1 });
    expect((await stage.provider.charge(named, unhurried())).kind).to.equal("unknown");
    return named;
  }

  for (const [what, method] of [
    ["was declined", "pm_card_visa_chargeDeclined"],
    ["wanted its owner", "pm_card_authenticationRequired"],
  ] as const) {
    it(`says declined only after it has cancelled what ${what}`, async () => {
      const order = await declined(method);
      expect(statusOf(order)).to.equal("requires_payment_method");
      expect((await find(order)).kind).to.equal("declined");
      expect(statusOf(order)).to.equal("canceled");
    });

    it(`says unknown where Stripe has not heard of the cancellation of what ${what}`, async () => {
      const order = await declined(method);
      stage.sandbox.faults.add({ kind: "reset", ending: "/cancel", count: 1 });
      expect((await find(order)).kind).to.equal("unknown");
      expect(statusOf(order)).to.equal("requires_payment_method");
    });
  }
});
