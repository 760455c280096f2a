import { expect } from "chai";
import { Webhook } from "standardwebhooks";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { ADMIN_KEY, type ApiAnswer, aMerchant, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { receivingAccount } from "../support/merchants.js";
import { type Receiver, startReceiver, status } from "../support/receiver.js";
import { eventually, plainRedis, silent } from "../support/stream.js";
import { skipWaiting, tell } from "../support/webhooks.js";

const ENDPOINTS = "/v1/webhooks/endpoints";

describe("webhooks through the API", () => {
  let database: TestDatabase;
  let redis: RedisServer;
  let api: TestApi;
  let receiver: Receiver;
  let merchant: { merchantId: string; key: string };
  let worker: Worker | undefined;

  beforeEach(async () => {
    [database, redis, receiver] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      startReceiver(),
    ]);
    api = await startApi(database.dataSource, redis.url, { webhooks: { allowPrivate: true } });
    merchant = await aMerchant(api);
  });
  afterEach(async () => {
    await receiver.stop();
    await worker?.stop();
    worker = undefined;
    await api.stop();
    await redis.stop();
    await database.close();
  });

  const ask = (method: string, path: string, body?: unknown, key = merchant.key): Promise<ApiAnswer> =>
    api.ask(method, path, body === undefined ? { key } : { key, body });
  const create = async (body: object = {}): Promise<ApiAnswer["body"]> =>
    (await ask("POST", ENDPOINTS, { url: receiver.url, ...body })).body;
  const work = () => {
    worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(redis.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      webhooks: { allowPrivate: true },
      everyMs: 50,
    });
    worker.start();
  };

  it("creates an endpoint whose secret is shown once, also to who repeats the request", async () => {
    const headers = { "Idempotency-Key": uuidv4() };
    const body = { url: receiver.url, description: "shop", event_types: ["payment.confirmed"] };
    const first = await api.ask("POST", ENDPOINTS, { key: merchant.key, body, headers });
    expect(first.status).to.equal(201);
    expect(first.body).to.include({ url: receiver.url, description: "shop", status: "active", failures: 0 });
    expect(first.body.event_types).to.deep.equal(["payment.confirmed"]);
    expect(first.body.secret).to.match(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const { secret: _, ...shown } = first.body;
    const again = await api.ask("POST", ENDPOINTS, { key: merchant.key, body, headers });
    expect(again.body).to.deep.equal(shown);
    expect((await ask("GET", `${ENDPOINTS}/${shown.id}`)).body).to.deep.equal(shown);
    expect((await ask("GET", ENDPOINTS)).body).to.deep.equal({ data: [shown] });
    const [{ count }] = await database.dataSource.query(
      "SELECT count(*)::int AS count FROM webhook_endpoints",
    );
    expect(count).to.equal(1);
  });

  it("refuses URLs that are not https or not public, and filters of nothing", async () => {
    const strict = await startApi(database.dataSource, redis.url);
    const post = (body: object) => strict.ask("POST", ENDPOINTS, { key: merchant.key, body });
    try {
      for (const url of [
        "http://example.com",
        "https://127.0.0.1",
        "https://0x7f.1/",
        "https://[::1]/",
        "x",
      ]) {
        const answer = await post({ url });
        expect([answer.status, answer.body.type], url).to.deep.equal([
          422,
          "https://paidonce.dev/problems/endpoint-refused",
        ]);
      }
      for (const body of [
        {},
        { url: 1 },
        { url: "https://example.com", event_types: [] },
        { url: "https://example.com", event_types: ["webhook.test"] },
        { url: "https://example.com", event_types: ["payment.maybe"] },
        { url: "https://example.com", secret: "mine" },
      ]) {
        expect((await post(body)).status, JSON.stringify(body)).to.equal(400);
      }
      const { body } = await post({ url: "https://example.com/hook" });
      const patched = await strict.ask("PATCH", `${ENDPOINTS}/${body.id}`, {
        key: merchant.key,
        body: { url: "https://10.0.0.1/" },
      });
      expect(patched.status).to.equal(422);
    } finally {
      await strict.stop();
    }
  });

  it("changes only what is named", async () => {
    const { id } = await create({ description: "one", event_types: ["session.expired"] });
    const change = async (body: object) => (await ask("PATCH", `${ENDPOINTS}/${id}`, body)).body;
    expect(await change({ description: "two" })).to.deep.include({
      description: "two",
      url: receiver.url,
      event_types: ["session.expired"],
    });
    expect(await change({ event_types: null })).to.deep.include({ description: "two", event_types: null });
    expect(await change({})).to.deep.include({ description: "two" });
  });

  it("another merchant's endpoint is not there, for any route", async () => {
    const { id } = await create();
    const stranger = await aMerchant(api);
    const event = uuidv7();
    for (const [method, path, body] of [
      ["GET", ""],
      ["PATCH", "", { description: "mine" }],
      ["DELETE", ""],
      ["POST", "/pause"],
      ["POST", "/resume"],
      ["POST", "/rotate-secret", {}],
      ["POST", "/test"],
      ["POST", "/redeliver", { since: "2026-01-01T00:00:00Z" }],
      ["POST", `/deliveries/${event}/redeliver`],
      ["GET", `/deliveries/${event}/attempts`],
    ] as const) {
      const answer = await ask(method, `${ENDPOINTS}/${id}${path}`, body, stranger.key);
      expect(answer.status, `${method} ${path}`).to.equal(404);
    }
    expect((await ask("GET", ENDPOINTS, undefined, stranger.key)).body).to.deep.equal({ data: [] });
    expect((await ask("GET", `${ENDPOINTS}/${id}`)).body).to.include({ status: "active", description: "" });
  });

  it("a test event arrives, verified by the secret, and its delivery and attempts are to be seen", async () => {
    const { id, secret } = await create();
    work();
    const sent = await ask("POST", `${ENDPOINTS}/${id}/test`);
    expect(sent.status).to.equal(202);
    await eventually(async () => receiver.received.length === 1);
    const [one] = receiver.received;
    const told = new Webhook(secret).verify(one?.body ?? "", one?.headers as Record<string, string>);
    expect(told).to.deep.equal({ id: sent.body.event_id, type: "webhook.test", data: { endpoint_id: id } });
    const list = () => ask("GET", `/v1/webhooks/deliveries?event_id=${sent.body.event_id}`);
    await eventually(async () => (await list()).body.data[0]?.state === "delivered");
    expect((await list()).body.data[0]).to.include({
      event_type: "webhook.test",
      endpoint_id: id,
      attempts: 1,
    });
    const attempts = await ask("GET", `${ENDPOINTS}/${id}/deliveries/${sent.body.event_id}/attempts`);
    expect(attempts.body.data).to.have.length(1);
    expect(attempts.body.data[0]).to.include({ attempt: 1, response_status: 204, response_body: "" });
  });

  it("a rotated secret signs beside the old one", async () => {
    const { id, secret } = await create();
    const rotated = await ask("POST", `${ENDPOINTS}/${id}/rotate-secret`, { overlap_seconds: 60 });
    expect(rotated.body.secret)
      .to.match(/^whsec_/)
      .and.not.to.equal(secret);
    work();
    await ask("POST", `${ENDPOINTS}/${id}/test`);
    await eventually(async () => receiver.received.length === 1);
    const [one] = receiver.received;
    for (const either of [secret, rotated.body.secret]) {
      new Webhook(either).verify(one?.body ?? "", one?.headers as Record<string, string>);
    }
  });

  it("paused, it gets nothing; resumed, all; disabled, it can't be tested; deleted, it is gone", async () => {
    const { id } = await create();
    expect((await ask("POST", `${ENDPOINTS}/${id}/pause`)).body).to.include({ status: "paused" });
    work();
    await ask("POST", `${ENDPOINTS}/${id}/test`);
    const list = async () => (await ask("GET", "/v1/webhooks/deliveries")).body.data;
    await eventually(async () => (await list()).length === 1);
    expect(receiver.received).to.deep.equal([]);
    receiver.reply = status(410);
    await ask("POST", `${ENDPOINTS}/${id}/resume`);
    await eventually(async () => (await ask("GET", `${ENDPOINTS}/${id}`)).body.status === "disabled");
    expect((await ask("GET", `${ENDPOINTS}/${id}`)).body.disabled_because).to.match(/^it answered 410/);
    expect((await ask("POST", `${ENDPOINTS}/${id}/test`)).status).to.equal(409);
    receiver.reply = status(200);
    await ask("POST", `${ENDPOINTS}/${id}/resume`);
    await skipWaiting(database.dataSource);
    await eventually(async () => (await list())[0].state === "delivered");
    expect((await ask("DELETE", `${ENDPOINTS}/${id}`)).body).to.deep.equal({ id, deleted: true });
    expect((await ask("GET", `${ENDPOINTS}/${id}`)).status).to.equal(404);
    expect((await ask("GET", ENDPOINTS)).body.data).to.deep.equal([]);
  });

  it("the relay is called by what gives it something to do, and by nothing else", async () => {
    await receivingAccount(database.dataSource, merchant.merchantId);
    const listening = plainRedis(redis.url);
    try {
      const heard: string[] = [];
      listening.on("message", (_, message) => heard.push(message));
      await listening.subscribe("paidonce:outbox");
      /** Redis keeps the order of what one connection publishes: nothing from before the mark can come after it. */
      const rings = async (request: () => Promise<ApiAnswer>): Promise<number> => {
        heard.length = 0;
        expect((await request()).status).to.be.below(300);
        await api.redis.publish("paidonce:outbox", "mark");
        await eventually(async () => heard.includes("mark"));
        return heard.length - 1;
      };
      const { id } = await create();
      await tell(database.dataSource, merchant.merchantId, null);
      const one = `${ENDPOINTS}/${id}`;
      const order = { amount: "1", asset: "native" };
      const session = (await ask("POST", "/v1/checkout/sessions", order)).body;
      const nothing: Record<string, () => Promise<ApiAnswer>> = {
        "another session": () => ask("POST", "/v1/checkout/sessions", order),
        "another endpoint": () => ask("POST", ENDPOINTS, { url: receiver.url }),
        "a description": () => ask("PATCH", one, { description: "d" }),
        "a merchant's name": () =>
          ask("PATCH", `/v1/merchants/${merchant.merchantId}`, { name: "n" }, ADMIN_KEY),
        "a secret": () => ask("POST", `${one}/rotate-secret`, {}),
        "a pause": () => ask("POST", `${one}/pause`),
        "nothing to send again": () => ask("POST", `${one}/redeliver`, { since: "2099-01-01T00:00:00Z" }),
      };
      for (const [what, request] of Object.entries(nothing)) expect(await rings(request), what).to.equal(0);
      const something: Record<string, () => Promise<ApiAnswer>> = {
        "what waited": () => ask("POST", `${one}/resume`),
        "something to send again": () => ask("POST", `${one}/redeliver`, { since: "2026-01-01T00:00:00Z" }),
        "a test event": () => ask("POST", `${one}/test`),
        "a session's end": () => ask("POST", `/v1/checkout/sessions/${session.id}/cancel`),
      };
      for (const [what, request] of Object.entries(something)) expect(await rings(request), what).to.equal(1);
    } finally {
      listening.disconnect();
    }
  });

  it("a merchant has so many endpoints and no more, also of those that are created at once", async () => {
    const limited = await startApi(database.dataSource, redis.url, {
      webhooks: { allowPrivate: true, maxEndpoints: 3 },
    });
    try {
      const createOne = () =>
        limited.ask("POST", ENDPOINTS, { key: merchant.key, body: { url: receiver.url } });
      const answers = await Promise.all(Array.from({ length: 8 }, createOne));
      const [created, refused] = [201, 409].map((code) => answers.filter((one) => one.status === code));
      expect([created?.length, refused?.length]).to.deep.equal([3, 5]);
      for (const { body } of refused ?? []) {
        expect(body.type).to.equal("https://paidonce.dev/problems/too-many-endpoints");
        expect(body.detail).to.contain("3 webhook endpoints");
      }
      const other = await aMerchant(limited);
      const theirs = await limited.ask("POST", ENDPOINTS, { key: other.key, body: { url: receiver.url } });
      expect(theirs.status).to.equal(201);
      await limited.ask("DELETE", `${ENDPOINTS}/${created?.[0]?.body.id}`, { key: merchant.key });
      expect((await createOne()).status).to.equal(201);
    } finally {
      await limited.stop();
    }
  });

  it("the admin lists, disables, resumes and deletes any merchant's endpoint; its merchant can't undo it", async () => {
    const { id } = await create();
    const theirs = `/v1/merchants/${merchant.merchantId}/webhooks/endpoints`;
    const admin = (method: string, path: string, body?: unknown) => ask(method, path, body, ADMIN_KEY);
    expect((await admin("GET", theirs)).body.data.map((one: { id: string }) => one.id)).to.deep.equal([id]);
    expect((await admin("GET", `/v1/merchants/${uuidv7()}/webhooks/endpoints`)).status).to.equal(404);
    const disabled = await admin("POST", `${theirs}/${id}/disable`, { because: "it is down since May" });
    expect(disabled.body).to.include({ status: "disabled", disabled_because: "it is down since May" });
    expect(disabled.body.disabled_by_operator).to.equal(true);
    for (const action of ["resume", "pause", "test"]) {
      expect((await ask("POST", `${ENDPOINTS}/${id}/${action}`)).status, action).to.equal(409);
    }
    await tell(database.dataSource, merchant.merchantId, null);
    work();
    await eventually(async () => {
      const [row] = await database.dataSource.query(
        "SELECT count(position)::int AS count FROM outbox_events",
      );
      return row.count === 1;
    });
    expect((await ask("GET", "/v1/webhooks/deliveries")).body.data).to.deep.equal([]);
    const resumed = await admin("POST", `${theirs}/${id}/resume`);
    expect(resumed.body).to.include({ status: "active", disabled_by_operator: false });
    expect((await ask("POST", `${ENDPOINTS}/${id}/test`)).status).to.equal(202);
    await eventually(async () => receiver.received.length === 1);
    const stranger = await aMerchant(api);
    const elsewhere = `/v1/merchants/${stranger.merchantId}/webhooks/endpoints/${id}`;
    expect((await admin("DELETE", elsewhere)).status).to.equal(404);
    expect((await ask("DELETE", `${theirs}/${id}`)).status).to.equal(403);
    expect((await admin("DELETE", `${theirs}/${id}`)).body).to.deep.equal({ id, deleted: true });
    expect((await ask("GET", ENDPOINTS)).body.data).to.deep.equal([]);
  });

  it("an event is sent again on demand: one, or all since a time, page by page listed", async () => {
    const { dataSource } = database;
    const told: string[] = [];
    for (let i = 0; i < 3; i++) told.push(await tell(dataSource, merchant.merchantId, null));
    const { id } = await create();
    const unknown = await ask("POST", `${ENDPOINTS}/${id}/deliveries/${uuidv7()}/redeliver`);
    expect(unknown.status).to.equal(404);
    const one = await ask("POST", `${ENDPOINTS}/${id}/deliveries/${told[1]}/redeliver`);
    expect([one.status, one.body.state, one.body.event_id]).to.deep.equal([202, "pending", told[1]]);
    const all = await ask("POST", `${ENDPOINTS}/${id}/redeliver`, { since: "2026-01-01T00:00:00Z" });
    expect([all.status, all.body]).to.deep.equal([202, { count: 3, next_cursor: null }]);
    work();
    await eventually(async () => receiver.received.length === 3);
    expect(receiver.received.map((received) => received.id)).to.have.members(told);
    const first = await ask("GET", "/v1/webhooks/deliveries?limit=2");
    expect(first.body.has_more).to.equal(true);
    const rest = await ask("GET", `/v1/webhooks/deliveries?limit=2&cursor=${first.body.next_cursor}`);
    const listed = [...first.body.data, ...rest.body.data].map((delivery) => delivery.event_id);
    expect(listed).to.deep.equal([...told].reverse());
    expect((await ask("GET", "/v1/webhooks/deliveries?cursor=nonsense")).status).to.equal(400);
    await dataSource.query(
      "UPDATE webhook_deliveries SET state = 'sending', sending_since = now(), delivered_at = NULL",
    );
    expect((await ask("POST", `${ENDPOINTS}/${id}/deliveries/${told[1]}/redeliver`)).status).to.equal(409);
  });
});
