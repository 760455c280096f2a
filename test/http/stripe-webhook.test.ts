import { expect } from "chai";
import type { ChargeOrder } from "../../src/providers/provider.js";
import { formatStroops, parseStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { signatureOf } from "../../stage/stripe-sandbox/webhooks.js";
import { anOrder, openStripeStage, type StripeStage } from "../providers/stripe-stage.js";
import { aMerchant, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const SECRET = "whsec_of_the_tests";
const PATH = "/v1/providers/stripe/webhook";
const unhurried = () => new AbortController().signal;

describe("Stripe's webhook", () => {
  let database: TestDatabase;
  let redis: RedisServer;
  let api: TestApi;
  let stage: StripeStage;
  let merchantId: string;

  before(async () => {
    [database, redis] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redis.url, {
      stripeWebhookSecret: SECRET,
      limits: { perMerchant: 100_000, perAddress: 20 },
    });
    stage = await openStripeStage({ webhook: { url: `${api.url}${PATH}`, secret: SECRET } });
    ({ merchantId } = await aMerchant(api));
  });
  after(async () => {
    await stage.stop();
    await api.stop();
    await redis.stop();
    await database.close();
  });
  afterEach(() => stage.settleDown());

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  const statusOf = async ({ id }: ChargeOrder): Promise<string> =>
    (await query("SELECT status FROM charges WHERE id = $1", [id]))[0].status;
  const eventsOf = async ({ id }: ChargeOrder): Promise<string[]> =>
    (await query("SELECT type FROM outbox_events WHERE charge_id = $1 ORDER BY id", [id])).map(
      ({ type }: { type: string }) => type,
    );
  const findingsOf = ({ id }: ChargeOrder) =>
    query("SELECT kind, action, detail FROM recovery_findings WHERE subject = $1", [id]);

  /** One that a worker has under lease, and has named at Stripe. */
  const aCharge = async (method = "pm_card_visa"): Promise<ChargeOrder> => {
    const order = anOrder({ merchantId, payload: { payment_method: method } });
    await query(
      `INSERT INTO charges (id, merchant_id, reference, provider, currency, amount, payload)
       VALUES ($1, $2, $3, 'stripe', $4, $5, $6)`,
      [order.id, merchantId, order.reference, order.currency, String(order.amount), order.payload],
    );
    const outcome = await stage.provider.prepare(order, unhurried());
    if (outcome.kind !== "prepared") throw new Error(JSON.stringify(outcome));
    await query(
      `UPDATE charges SET status = 'processing', attempts = 1, leased_since = now(), provider_id = $2,
         next_attempt_at = now() + interval '1 hour' WHERE id = $1`,
      [order.id, outcome.providerId],
    );
    return { ...order, providerId: outcome.providerId };
  };
  const charge = (order: ChargeOrder) => stage.provider.charge(order, unhurried());
  const post = (body: string, signature: string) =>
    fetch(`${api.url}${PATH}`, { method: "POST", body, headers: { "stripe-signature": signature } });
  const seconds = () => Math.floor(Date.now() / 1000);
  const sent = (body: unknown) => {
    const text = JSON.stringify(body);
    return post(text, signatureOf(text, SECRET, seconds()));
  };
  const succeeded = (object: unknown) =>
    sent({ id: "evt_1", object: "event", type: "payment_intent.succeeded", data: { object } });

  it("ends a charge whose money was taken while nobody heard the answer, once, whoever has its lease", async () => {
    const order = await aCharge();
    stage.sandbox.faults.add({ kind: "webhook", outcome: "duplicated", count: 1 });
    stage.sandbox.faults.add({ kind: "drop_after", ending: "/confirm", count: 1 });
    expect((await charge(order)).kind).to.equal("unknown");
    await stage.settleDown();
    expect(await statusOf(order)).to.equal("succeeded");
    expect(await eventsOf(order)).to.deep.equal(["charge.succeeded"]);
  });

  it("does nothing where the event comes twice, or late, after the charge has ended", async () => {
    const order = await aCharge();
    await charge(order);
    await stage.settleDown();
    const answers = [
      await succeeded(stage.sandbox.bank.retrieve(order.providerId ?? "")),
      await succeeded(stage.sandbox.bank.retrieve(order.providerId ?? "")),
    ];
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200]);
    expect(await eventsOf(order)).to.deep.equal(["charge.succeeded"]);
    expect(await findingsOf(order)).to.deep.equal([]);
  });

  it("of anything else says only that the worker is to ask now", async () => {
    const order = await aCharge("pm_card_visa_chargeDeclined");
    expect((await charge(order)).kind).to.equal("declined");
    await stage.settleDown();
    const [row] = await query("SELECT status, next_attempt_at <= now() AS due FROM charges WHERE id = $1", [
      order.id,
    ]);
    expect(row).to.deep.equal({ status: "processing", due: true });
    expect(await eventsOf(order)).to.deep.equal([]);
  });

  it("shows a person the money that was taken for a charge that has failed", async () => {
    const order = await aCharge();
    await query(
      `UPDATE charges SET status = 'failed', failure_code = 'declined', failure_detail = 'no', leased_since = NULL,
         ended_at = now() WHERE id = $1`,
      [order.id],
    );
    await charge(order);
    await stage.settleDown();
    expect(await statusOf(order)).to.equal("failed");
    expect(await eventsOf(order)).to.deep.equal([]);
    const [finding, ...others] = await findingsOf(order);
    expect(others).to.deep.equal([]);
    expect(finding).to.include({ kind: "charge_contradicted", action: "needs_person" });
  });

  for (const [what, change] of [
    ["another amount", { amount: 1, amount_received: 1 }],
    ["another currency", { currency: "usd" }],
    ["another payment intent", { id: "pi_other" }],
    ["a part of the amount", { amount_received: 10 }],
  ] as const) {
    it(`a success of ${what} ends nothing, and a person is told`, async () => {
      const order = await aCharge();
      const intent = {
        ...stage.sandbox.bank.retrieve(order.providerId ?? ""),
        status: "succeeded",
        amount_received: 1250,
        ...change,
      };
      expect((await succeeded(intent)).status).to.equal(200);
      expect(await statusOf(order)).to.equal("processing");
      expect(await findingsOf(order)).to.have.length(1);
    });
  }

  it("takes and forgets what is not about a charge of ours", async () => {
    const order = await aCharge();
    const intent = stage.sandbox.bank.retrieve(order.providerId ?? "");
    for (const body of [
      { id: "evt_1", object: "event", type: "customer.created", data: { object: { id: "cus_1" } } },
      { id: "evt_1", object: "event", type: "payment_intent.succeeded", data: { object: { id: "pi_1" } } },
      ...[{}, { charge_id: "order 1" }, { charge_id: anOrder().id }].map((metadata) => ({
        id: "evt_1",
        object: "event",
        type: "payment_intent.succeeded",
        data: { object: { ...intent, metadata } },
      })),
    ]) {
      const answer = await sent(body);
      expect([answer.status, await answer.json()]).to.deep.equal([200, { received: true }]);
    }
    expect(await statusOf(order)).to.equal("processing");
  });

  it("takes nothing that Stripe has not signed, of just this body, within minutes", async () => {
    const order = await aCharge();
    const object = { ...stage.sandbox.bank.retrieve(order.providerId ?? ""), status: "succeeded" };
    const body = JSON.stringify({
      id: "evt_1",
      object: "event",
      type: "payment_intent.succeeded",
      data: { object },
    });
    for (const signature of [
      "",
      "t=1,v1=00",
      signatureOf(body, "whsec_another", seconds()),
      signatureOf(`${body} `, SECRET, seconds()),
      signatureOf(body, SECRET, seconds() - 3_600),
    ]) {
      const answer = await post(body, signature);
      expect(answer.status).to.equal(400);
      const problem = await answer.text();
      expect(JSON.parse(problem).type).to.match(/webhook-signature-invalid$/);
      expect(problem).not.to.include(order.id);
    }
    expect(await statusOf(order)).to.equal("processing");
  });

  it("says of a thin event that Stripe has signed what is wanted instead, and does nothing by it", async () => {
    const order = await aCharge();
    const answer = await sent({
      id: "evt_1",
      object: "v2.core.event",
      type: "v1.payment_intent.succeeded",
      related_object: { id: order.providerId, type: "payment_intent" },
    });
    const { type, detail } = (await answer.json()) as { type: string; detail: string };
    expect([answer.status, type]).to.deep.equal([400, "https://paidonce.dev/problems/webhook-event-refused"]);
    expect(detail)
      .to.match(/thin event/)
      .and.match(/payload style is Snapshot/);
    const text = "not JSON";
    const other = await post(text, signatureOf(text, SECRET, seconds()));
    expect([other.status, await other.text()].join(" ")).to.match(/^400 .*webhook-event-refused/);
    expect(await statusOf(order)).to.equal("processing");
  });

  it("who can't sign is held to a limit, and Stripe is not", async () => {
    const answers: number[] = [];
    for (let i = 0; i < 25; i++) answers.push((await post("{}", "")).status);
    expect(answers.at(-1)).to.equal(429);
    const order = await aCharge();
    await charge(order);
    await stage.settleDown();
    expect(await statusOf(order)).to.equal("succeeded");
  });

  it("is not there without a secret", async () => {
    const other = await startApi(database.dataSource, redis.url);
    expect((await fetch(`${other.url}${PATH}`, { method: "POST", body: "{}" })).status).to.equal(404);
    await other.stop();
  });

  it("tells amounts as every event does", async () => {
    const order = await aCharge();
    await charge(order);
    await stage.settleDown();
    const [{ body }] = await query("SELECT body FROM outbox_events WHERE charge_id = $1", [order.id]);
    expect(JSON.parse(body).data ?? JSON.parse(body)).to.include({
      amount: formatStroops(parseStroops("12.5")),
      provider_id: order.providerId,
    });
  });
});
