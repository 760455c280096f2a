import { expect } from "chai";
import { ChargeRefusedError, type ChargeRequest } from "../../src/providers/provider.js";
import { minorUnits, STRIPE_ACCEPTOR } from "../../src/providers/stripe/accept.js";
import { failureCodeOf } from "../../src/providers/stripe/judge-intent.js";
import { parseStroops } from "../../src/stellar/stroops.js";

describe("what Stripe can charge", () => {
  const request = (overrides: Partial<ChargeRequest>): ChargeRequest => ({
    merchantId: "m",
    reference: "order-1",
    amount: parseStroops("12.5"),
    currency: "EUR",
    asset: null,
    account: null,
    metadata: {},
    payload: { payment_method: "pm_card_visa" },
    ...overrides,
  });
  const refusedField = (overrides: Partial<ChargeRequest>): string => {
    try {
      STRIPE_ACCEPTOR.accept(request(overrides), new Date());
    } catch (error) {
      if (error instanceof ChargeRefusedError) return error.field;
      throw error;
    }
    return "accepted";
  };

  for (const [currency, amount, minor] of [
    ["EUR", "12.50", 1250],
    ["USD", "0.01", 1],
    ["USD", "999999.99", 99_999_999],
    ["USD", "1000000", null],
    ["USD", "0.001", null],
    ["USD", "0", null],
    ["JPY", "500", 500],
    ["JPY", "500.5", null],
    ["KWD", "5.12", 5120],
    ["KWD", "5.124", null],
    ["ISK", "5", 500],
    ["ISK", "5.5", null],
    ["HUF", "10.45", 1045],
    ["TWD", "800.45", 80_045],
    ["UGX", "100", null],
  ] as const) {
    it(`${amount} ${currency} ${minor === null ? "can't be charged" : `is ${minor}`}`, () => {
      const answer = minorUnits(currency, parseStroops(amount));
      expect(answer.kind === "minor" ? answer.amount : null).to.equal(minor);
    });
  }

  it("takes a payment method and its customer, and nothing else", () => {
    const payload = { payment_method: "pm_1ABC", customer: "cus_9" };
    expect(STRIPE_ACCEPTOR.accept(request({ payload }), new Date())).to.deep.equal({
      payload,
      providerId: null,
      submission: null,
    });
    expect(refusedField({ currency: null })).to.equal("currency");
    expect(refusedField({ currency: "UGX" })).to.equal("currency");
    expect(refusedField({ amount: parseStroops("1.001") })).to.equal("amount");
    expect(refusedField({ payload: {} })).to.equal("payload.payment_method");
    expect(refusedField({ payload: { payment_method: "4242424242424242" } })).to.equal(
      "payload.payment_method",
    );
    expect(refusedField({ payload: { ...payload, customer: "acct_1" } })).to.equal("payload.customer");
    expect(refusedField({ payload: { ...payload, number: "4242" } })).to.equal("payload.number");
  });

  it("what is wrong with a payload is said for whoever wrote it", () => {
    const words = (payload: Readonly<Record<string, unknown>>) => {
      try {
        STRIPE_ACCEPTOR.accept(request({ payload }), new Date());
      } catch (error) {
        return String((error as Error).message);
      }
      return "accepted";
    };
    expect(words({})).to.equal("send the id of a Stripe PaymentMethod: pm_…");
    expect(words({ payment_method: 7 })).to.equal("send the id of a Stripe PaymentMethod: pm_…");
    expect(words({ payment_method: "pm_1", customer: 7 })).to.match(/^send the id of the Stripe Customer/);
    expect(words({ payment_method: "pm_1", number: "4242" })).to.match(/payment_method and customer/);
  });

  it("a decline that nobody has heard of is a decline", () => {
    expect(failureCodeOf("new_reason", "card_declined")).to.equal("declined");
    expect(failureCodeOf(null, null)).to.equal("declined");
    expect(failureCodeOf("constructor", "__proto__")).to.equal("declined");
    expect(failureCodeOf(null, "expired_card")).to.equal("card_expired");
    expect(failureCodeOf("insufficient_funds", "card_declined")).to.equal("insufficient_funds");
  });
});
