import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import type { ChargeOrder } from "../../src/providers/provider.js";
import { stripeClients } from "../../src/providers/stripe/connect.js";
import { StripeProvider } from "../../src/providers/stripe/provider.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { VERSION } from "../../src/version.js";
import { API_KEY, anOrder, openStripeStage, type StripeStage } from "./stripe-stage.js";

const unhurried = () => new AbortController().signal;

describe("charging through Stripe", () => {
  let stage: StripeStage;

  before(async () => {
    stage = await openStripeStage();
  });
  afterEach(() => stage.settleDown());
  after(() => stage.stop());

  const prepared = async (overrides: Partial<ChargeOrder> = {}): Promise<ChargeOrder> => {
    const order = anOrder(overrides);
    const outcome = await stage.provider.prepare(order, unhurried());
    if (outcome.kind !== "prepared") throw new Error(JSON.stringify(outcome));
    return { ...order, providerId: outcome.providerId };
  };
  const charge = (order: ChargeOrder) => stage.provider.charge(order, unhurried());
  const find = (order: ChargeOrder) => stage.provider.find(order, unhurried());
  const intentOf = (order: ChargeOrder) => stage.sandbox.bank.retrieve(order.providerId ?? "");
  const paying = (payment_method: string) => prepared({ payload: { payment_method } });

  it("names merchant, reference and charge at Stripe, and the amount in minor units", async () => {
    const order = await prepared({ amount: parseStroops("1250"), currency: "JPY" });
    const { amount, currency, metadata, status } = intentOf(order);
    expect({ amount, currency, status }).to.deep.equal({
      amount: 1250,
      currency: "jpy",
      status: "requires_confirmation",
    });
    expect(metadata).to.deep.equal({
      charge_id: order.id,
      merchant_id: order.merchantId,
      reference: order.reference,
    });
  });

  for (const [method, code] of [
    ["pm_card_visa_chargeDeclined", "declined"],
    ["pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"],
    ["pm_card_chargeDeclinedExpiredCard", "card_expired"],
    ["pm_card_chargeDeclinedIncorrectCvc", "invalid_payment_method"],
    ["pm_card_chargeDeclinedProcessingError", "declined"],
    ["pm_card_authenticationRequired", "authentication_required"],
    ["pm_card_visa_chargeDeclinedFraudulent", "suspected_fraud"],
    ["pm_card_visa_chargeDeclinedVelocityLimitExceeded", "limit_exceeded"],
  ]) {
    it(`a charge of ${method} is declined as ${code}, whoever asks later`, async () => {
      const order = await paying(method ?? "");
      expect(await charge(order)).to.include({ kind: "declined", code });
      expect(await find(order)).to.include({ kind: "declined", code });
    });
  }

  it("a decline is told in Stripe's sentence alone, and the attempt keeps the facts", async () => {
    const outcome = await charge(await paying("pm_card_chargeDeclinedExpiredCard"));
    if (outcome.kind !== "declined") return expect.fail(outcome.kind);
    expect(outcome.sentence).to.equal("Your card has expired.");
    expect(outcome.detail).to.match(/^Stripe: 402 expired_card req_\w+: Your card has expired\.$/);
  });

  it("a payment that was declined can't be made to succeed afterwards, by no card and no hand", async () => {
    const order = await paying("pm_card_visa_chargeDeclined");
    expect((await charge(order)).kind).to.equal("declined");
    const again = () =>
      stage.sandbox.bank.confirm(order.providerId ?? "", { payment_method: "pm_card_visa" });
    expect(again).to.throw("canceled");
    expect(await stage.moneyTaken(order)).to.equal(0);
  });

  it("is not declined where somebody pays it by hand before it could be cancelled", async () => {
    const order = await paying("pm_card_visa_chargeDeclined");
    stage.sandbox.faults.add({ kind: "late", ending: "/cancel", count: 1 });
    const charging = charge(order);
    while (stage.sandbox.faults.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    stage.sandbox.bank.confirm(order.providerId ?? "", { payment_method: "pm_card_visa" });
    stage.sandbox.faults.release();
    expect((await charging).kind).to.equal("succeeded");
    expect(await stage.moneyTaken(order)).to.equal(1);
  });

  it("is unknown where the cancellation was not heard, and declined once it was", async () => {
    const order = await paying("pm_card_visa_chargeDeclined");
    stage.sandbox.faults.add({ kind: "drop_after", ending: "/cancel", count: 1 });
    expect((await charge(order)).kind).to.equal("unknown");
    expect(await find(order)).to.include({ kind: "declined", code: "declined" });
  });

  it("waits for a payment that is processing, and takes its end", async () => {
    for (const succeeds of [true, false]) {
      const order = await paying("pm_usBankAccount_processing");
      expect((await charge(order)).kind).to.equal("in_progress");
      expect((await find(order)).kind).to.equal("in_progress");
      expect((await charge(order)).kind).to.equal("in_progress");
      stage.sandbox.bank.finish(order.providerId ?? "", succeeds);
      expect((await find(order)).kind).to.equal(succeeds ? "succeeded" : "declined");
      expect(await stage.moneyTaken(order)).to.equal(succeeds ? 1 : 0);
    }
  });

  it("is charged once too after Stripe has forgotten every key", async () => {
    const order = await prepared();
    expect((await charge(order)).kind).to.equal("succeeded");
    stage.sandbox.kept.forget();
    expect((await charge(order)).kind).to.equal("succeeded");
    expect(await stage.moneyTaken(order)).to.equal(1);
  });

  it("goes on where Stripe keeps a 500 under the key, and does not call refused what may have been done", async () => {
    const order = await prepared();
    const confirm = { ending: "/confirm", count: 1 } as const;
    stage.sandbox.faults.add({ kind: "error_after", ...confirm });
    expect((await charge(order)).kind).to.equal("unknown");
    // Under the key: the 500 again; under the next one: turned away. The first may have charged, and has.
    stage.sandbox.faults.add({ kind: "twice", ...confirm });
    stage.sandbox.faults.add({ kind: "rate_limit", ...confirm });
    expect((await charge(order)).kind).to.equal("unknown");
    expect((await charge(order)).kind).to.equal("succeeded");
    expect(await stage.moneyTaken(order)).to.equal(1);
  });

  it("can be prepared where Stripe keeps a 500 under the key", async () => {
    stage.sandbox.faults.add({ kind: "error_before", kept: true, count: 1 });
    const order = anOrder();
    expect((await stage.provider.prepare(order, unhurried())).kind).to.equal("refused");
    expect((await stage.provider.prepare(order, unhurried())).kind).to.equal("prepared");
  });

  it("a key that is wrong or may not charge fails no charge", async () => {
    const order = await prepared();
    for (const call of ["charge", "find"] as const) {
      stage.sandbox.faults.add({ kind: "unauthorized", count: 1 });
      const outcome = await stage.provider[call](order, unhurried());
      expect(outcome.kind).to.equal(call === "charge" ? "refused" : "unknown");
      expect(JSON.stringify(outcome)).not.to.include("sk_test");
    }
    stage.sandbox.faults.add({ kind: "unauthorized", count: 1 });
    expect((await stage.provider.prepare(anOrder(), unhurried())).kind).to.equal("refused");
  });

  it("says how long Stripe asked to wait", async () => {
    const order = await prepared();
    stage.sandbox.faults.add({ kind: "rate_limit", retryAfter: 7, count: 1 });
    expect(await charge(order)).to.include({ kind: "refused", retryAfterMs: 7_000 });
  });

  it("a lock that another request holds is no refusal: that one may be charging", async () => {
    const order = await prepared();
    stage.sandbox.faults.add({ kind: "lock_timeout", count: 1 });
    expect((await charge(order)).kind).to.equal("unknown");
  });

  it("a payment method that Stripe does not know is declined before anything is named", async () => {
    const order = anOrder({ payload: { payment_method: "pm_nobodys" } });
    const outcome = await stage.provider.prepare(order, unhurried());
    expect(outcome).to.include({ kind: "declined", code: "invalid_payment_method" });
  });

  it("never calls succeeded what succeeded for another charge, amount or currency", async () => {
    const order = await prepared();
    expect((await charge(order)).kind).to.equal("succeeded");
    for (const other of [
      { amount: parseStroops("12.51") },
      { currency: "USD" },
      { id: anOrder().id },
    ] as Partial<ChargeOrder>[]) {
      const outcome = await find({ ...order, ...other });
      expect(outcome.kind).to.equal("unknown");
      expect("detail" in outcome && outcome.detail).to.include("a person has to look");
    }
  });

  it("an id that Stripe does not know is no sign that nothing was charged", async () => {
    const order = anOrder({ providerId: "pi_of_another_account" });
    for (const outcome of [await find(order), await charge(order)]) {
      expect(outcome.kind).to.equal("unknown");
      expect("detail" in outcome && outcome.detail).to.include("another account");
    }
  });

  it("a charge without a name is looked for by its metadata, and charged by nobody", async () => {
    const order = await prepared();
    const nameless = { ...order, providerId: null };
    expect((await charge(nameless)).kind).to.equal("refused");
    expect((await find(nameless)).kind).to.equal("absent");
    expect((await charge(order)).kind).to.equal("succeeded");
    expect(await find(nameless)).to.deep.equal({ kind: "succeeded", providerId: order.providerId });
    expect((await find(anOrder())).kind).to.equal("absent");
  });

  it("what is given up can't be charged any more, and what has succeeded is not given up", async () => {
    const [order, paid] = [await prepared(), await prepared()];
    expect(await stage.provider.giveUp(order, unhurried())).to.include({ kind: "declined" });
    expect((await charge(order)).kind).to.equal("declined");
    expect(await stage.moneyTaken(order)).to.equal(0);
    await charge(paid);
    expect((await stage.provider.giveUp(paid, unhurried())).kind).to.equal("succeeded");
  });

  it("a search that finds another charge's intent ends nothing and cancels nothing", async () => {
    const failed = await paying("pm_card_visa_chargeDeclined");
    stage.sandbox.faults.add({ kind: "drop_after", ending: "/confirm", count: 1 });
    expect((await charge(failed)).kind).to.equal("unknown");
    expect(intentOf(failed).status).to.equal("requires_payment_method");
    // Stripe's index is older than what it has: it finds what once had the metadata that are asked for.
    const relay = createServer(async ({ url = "", headers }, response) => {
      const to = url.replace(
        /query=[^&]*/,
        `query=${encodeURIComponent(`metadata['charge_id']:'${failed.id}'`)}`,
      );
      const answer = await fetch(`${stage.sandbox.url}${to}`, {
        headers: { authorization: headers.authorization ?? "" },
      });
      response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = relay.address() as AddressInfo;
      const stale = new StripeProvider(
        stripeClients({ apiKey: API_KEY, apiUrl: `http://127.0.0.1:${port}` }),
      );
      const outcome = await stale.find(anOrder(), unhurried());
      expect(outcome.kind).to.equal("unknown");
      expect("detail" in outcome && outcome.detail).to.include("a person has to look");
      expect(intentOf(failed).status).to.equal("requires_payment_method");
    } finally {
      relay.closeAllConnections();
      relay.close();
    }
  });

  it("Stripe is told who asks", async () => {
    let agent = "";
    const server = createServer((request, response) => {
      agent = request.headers["user-agent"] ?? "";
      response.writeHead(503).end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const provider = new StripeProvider(
        stripeClients({ apiKey: API_KEY, apiUrl: `http://127.0.0.1:${port}` }),
      );
      await provider.find(anOrder(), unhurried());
      expect(agent).to.include(`paidonce/${VERSION}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
