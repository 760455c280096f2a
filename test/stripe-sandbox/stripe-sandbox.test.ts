import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import Stripe from "stripe";
import { type StripeSandbox, startStripeSandbox } from "../../stage/stripe-sandbox/server.js";

const SECRET = "whsec_test";

const PARAMS: Stripe.PaymentIntentCreateParams = {
  amount: 1250,
  currency: "eur",
  payment_method: "pm_card_visa",
  automatic_payment_methods: { enabled: true, allow_redirects: "never" },
  metadata: { charge_id: "charge-1" },
};

describe("the Stripe sandbox, through Stripe's own package", () => {
  let sandbox: StripeSandbox;
  let stripe: Stripe;
  let listener: Server;
  let events: { body: string; signature: string }[];
  let answer: number;

  beforeEach(async () => {
    events = [];
    answer = 200;
    listener = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        events.push({ body, signature: String(request.headers["stripe-signature"]) });
        response.writeHead(answer).end();
        answer = 200;
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/hook`;
    sandbox = await startStripeSandbox({ webhook: { url, secret: SECRET } });
    stripe = client("sk_test_any");
  });
  afterEach(async () => {
    await sandbox.stop();
    listener.closeAllConnections();
    await new Promise((resolve) => listener.close(resolve));
  });

  const client = (key: string) =>
    new Stripe(key, {
      host: "127.0.0.1",
      port: sandbox.port,
      protocol: "http",
      maxNetworkRetries: 0,
      telemetry: false,
    });
  const failed = async (work: Promise<unknown>): Promise<Stripe.errors.StripeError> => {
    const error = await work.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (error instanceof Stripe.errors.StripeError) return error;
    throw new Error(`it did not fail as Stripe does: ${error}`);
  };
  const under = (idempotencyKey: string) => ({ idempotencyKey });

  it("takes money once for an intent, and says of a second confirmation what Stripe says", async () => {
    const { id, status } = await stripe.paymentIntents.create(PARAMS);
    expect(status).to.equal("requires_confirmation");
    const paid = await stripe.paymentIntents.confirm(id, { off_session: true });
    expect(paid).to.include({ status: "succeeded", amount_received: 1250 });
    const error = await failed(stripe.paymentIntents.confirm(id));
    expect([error.statusCode, error.code]).to.deep.equal([400, "payment_intent_unexpected_state"]);
    expect(sandbox.bank.taken("charge-1")).to.have.length(1);
  });

  it("refuses a currency that there is not, as Stripe does", async () => {
    const error = await failed(stripe.paymentIntents.create({ ...PARAMS, currency: "xyz" }));
    expect([error.statusCode, error.param]).to.deep.equal([400, "currency"]);
  });

  it("replays the first answer under a key, as it was", async () => {
    const first = await stripe.paymentIntents.create(PARAMS, under("a"));
    await stripe.paymentIntents.cancel(first.id);
    const again = await stripe.paymentIntents.create(PARAMS, under("a"));
    expect([again.id, again.status]).to.deep.equal([first.id, "requires_confirmation"]);
    expect(again.lastResponse.headers["idempotent-replayed"]).to.equal("true");
  });

  it("refuses another request under a key, and one that comes while the first is under way", async () => {
    await stripe.paymentIntents.create(PARAMS, under("a"));
    const other = await failed(stripe.paymentIntents.create({ ...PARAMS, amount: 1 }, under("a")));
    expect([other.statusCode, other.rawType]).to.deep.equal([400, "idempotency_error"]);
    sandbox.faults.add({ kind: "late", count: 1 });
    const slow = stripe.paymentIntents.create(PARAMS, under("b"));
    while (sandbox.faults.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    const conflict = await failed(stripe.paymentIntents.create(PARAMS, under("b")));
    expect([conflict.statusCode, conflict.code]).to.deep.equal([409, "idempotency_key_in_use"]);
    sandbox.faults.release();
    const { id } = await slow;
    expect((await stripe.paymentIntents.create(PARAMS, under("b"))).id).to.equal(id);
  });

  it("keeps a decline and a 500 under the key, and what was invalid not", async () => {
    const params = { ...PARAMS, payment_method: "pm_card_visa_chargeDeclined" };
    const { id } = await stripe.paymentIntents.create(params);
    for (const replayed of [undefined, "true"]) {
      const error = await failed(stripe.paymentIntents.confirm(id, {}, under("c")));
      expect([error.type, error.decline_code]).to.deep.equal(["StripeCardError", "generic_decline"]);
      expect(error.headers?.["idempotent-replayed"]).to.equal(replayed);
    }
    expect((await stripe.paymentIntents.retrieve(id)).status).to.equal("requires_payment_method");
    sandbox.faults.add({ kind: "error_before", kept: true, count: 1 });
    for (let time = 0; time < 2; time++) {
      expect((await failed(stripe.paymentIntents.create(PARAMS, under("d")))).statusCode).to.equal(500);
    }
    expect(
      (await failed(stripe.paymentIntents.create({ ...PARAMS, amount: 0 }, under("e")))).statusCode,
    ).to.equal(400);
    expect((await stripe.paymentIntents.create(PARAMS, under("e"))).status).to.equal("requires_confirmation");
  });

  it("lists the newest first, and finds by metadata once its index is that far", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.unshift((await stripe.paymentIntents.create(PARAMS)).id);
    const page = await stripe.paymentIntents.list({ limit: 2 });
    expect([page.data.map(({ id }) => id), page.has_more]).to.deep.equal([ids.slice(0, 2), true]);
    const query = "metadata['charge_id']:'charge-1'";
    expect((await stripe.paymentIntents.search({ query })).data).to.have.length(3);
    const lagging = await startStripeSandbox({ searchLagMs: 3_600_000 });
    try {
      const other = new Stripe("sk_test_x", { host: "127.0.0.1", port: lagging.port, protocol: "http" });
      const { id } = await other.paymentIntents.create(PARAMS);
      expect((await other.paymentIntents.search({ query })).data).to.deep.equal([]);
      expect((await other.paymentIntents.retrieve(id)).id).to.equal(id);
    } finally {
      await lagging.stop();
    }
  });

  it("takes test keys alone, as a bearer or by basic auth", async () => {
    expect((await failed(client("sk_live_x").paymentIntents.list())).statusCode).to.equal(401);
    const authorization = `Basic ${Buffer.from("sk_test_x:").toString("base64")}`;
    const asked = await fetch(`${sandbox.url}/v1/payment_intents`, { headers: { authorization } });
    expect(asked.status).to.equal(200);
  });

  it("sends what happened, signed so that Stripe's package takes it, until somebody answers", async () => {
    answer = 503;
    const { id } = await stripe.paymentIntents.create({ ...PARAMS, confirm: true, off_session: true });
    await sandbox.settleDown();
    expect(events).to.have.length(2);
    for (const { body, signature } of events) {
      const event = await Stripe.webhooks.constructEventAsync(body, signature, SECRET);
      expect(event).to.include({ type: "payment_intent.succeeded" });
      expect(event.data.object).to.include({ id, status: "succeeded" });
    }
  });

  it("loses, repeats and delays events on demand", async () => {
    const pay = () => stripe.paymentIntents.create({ ...PARAMS, confirm: true, off_session: true });
    sandbox.faults.add({ kind: "webhook", outcome: "lost", path: "/payment_intent.succeeded", count: 1 });
    await pay();
    await sandbox.webhooks.settled();
    expect(events).to.have.length(0);
    sandbox.faults.add({ kind: "webhook", outcome: "duplicated", count: 1 });
    await pay();
    await sandbox.webhooks.settled();
    expect(new Set(events.map(({ body }) => body)).size).to.equal(1);
    expect(events).to.have.length(2);
    sandbox.faults.add({ kind: "webhook", outcome: "late", count: 1 });
    const late = await pay();
    const prompt = await pay();
    while (events.length < 3) await new Promise((resolve) => setImmediate(resolve));
    await sandbox.settleDown();
    const ids = events.slice(2).map(({ body }) => JSON.parse(body).data.object.id);
    expect(ids).to.deep.equal([prompt.id, late.id]);
  });

  it("shows its books and misbehaves on demand, over HTTP too", async () => {
    const admin = async (path: string, body?: unknown) =>
      (
        await fetch(`${sandbox.url}/sandbox/${path}`, {
          ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
        })
      ).json();
    await admin("faults", { action: "add", fault: { kind: "rate_limit", count: 1, retryAfter: 3 } });
    const error = await failed(stripe.paymentIntents.create(PARAMS));
    expect([error.statusCode, error.headers?.["retry-after"]]).to.deep.equal([429, "3"]);
    const { id } = await stripe.paymentIntents.create({
      ...PARAMS,
      payment_method: "pm_usBankAccount_processing",
      confirm: true,
    });
    expect(await admin("money?charge_id=charge-1")).to.deep.equal({ charge_id: "charge-1", taken: [] });
    await admin("finish", { payment_intent: id, succeeds: true });
    const taken = [{ payment_intent: id, amount: 1250, currency: "eur" }];
    expect(await admin("money")).to.deep.equal({ charges: [{ charge_id: "charge-1", taken }] });
    expect(await admin("faults", { action: "nonsense" })).to.have.property("error");
  });

  it("knows after a restart what it took, whatever a crash left of the last line", async () => {
    const folder = await mkdtemp(join(tmpdir(), "paidonce-stripe-"));
    const journal = join(folder, "intents.jsonl");
    try {
      const first = await startStripeSandbox({ journal });
      const { id } = first.bank.create({ amount: "1250", currency: "eur", payment_method: "pm_card_visa" });
      first.bank.confirm(id, { return_url: "https://example.com" });
      const open = first.bank.create({ amount: "5", currency: "eur", payment_method: "pm_card_visa" });
      await first.stop();
      await appendFile(journal, '{"id":"pi_half');
      const second = await startStripeSandbox({ journal });
      expect(second.bank.retrieve(id).status).to.equal("succeeded");
      expect(second.bank.taken(id)).to.deep.equal([{ payment_intent: id, amount: 1250, currency: "eur" }]);
      second.bank.cancel(open.id, {});
      await second.stop();
      const third = await startStripeSandbox({ journal });
      expect(third.bank.list().map(({ status }) => status)).to.deep.equal(["canceled", "succeeded"]);
      await third.stop();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
