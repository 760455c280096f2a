import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { settle } from "../../src/settlement/settle.js";
import { creditKeyText } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Stage } from "../sandbox/stage.js";
import { TEST_ACCEPTORS } from "../support/acceptor.js";
import { ADMIN_KEY, type ApiAnswer, type Json, startApi, type TestApi } from "../support/api.js";
import { ApiDocument, type Operation } from "../support/api-document.js";
import { anUnreadable, newAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { signedForShown } from "../support/handed-in.js";
import { creditOf } from "../support/merchants.js";
import { withUnknownField } from "../support/unknown-field.js";

describe("the OpenAPI document", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let stage: Stage;
  let api: TestApi;
  let document: ApiDocument;
  let served: Json;

  before(async () => {
    [database, redisServer, stage] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      Stage.open(),
    ]);
    api = await startApi(database.dataSource, redisServer.url, {
      horizonUrl: stage.sandbox.url,
      acceptors: TEST_ACCEPTORS,
    });
    served = (await api.ask("GET", "/v1/openapi.json")).body;
    document = new ApiDocument(served);
  });
  after(async () => {
    await api.stop();
    await stage[Symbol.asyncDispose]();
    await redisServer.stop();
    await database.close();
  });

  it("describes every route of the running API, and no other", () => {
    const described = document.operations.map(({ method, path }) => `${method} ${path}`);
    const routes = api.routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    expect(served.openapi).to.equal("3.1.0");
    expect(described.sort()).to.deep.equal(routes.sort());
    const ids = document.operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size, "names of operations").to.equal(ids.length);
    // A generator makes a type of each of these, and some stop where two have one name.
    const { schemas, securitySchemes } = served.components;
    const types = [...Object.keys(schemas), ...Object.keys(securitySchemes)];
    const spelled = types.map((name) => name.replaceAll("_", "").toLowerCase());
    expect(new Set(spelled).size, types.join(", ")).to.equal(types.length);
    const events = document.operations.find(({ operationId }) => operationId === "listSessions");
    expect(events?.parameters.map(({ name }) => name)).to.deep.equal([
      "limit",
      "cursor",
      "status",
      "created_after",
      "created_before",
      "metadata",
    ]);
  });

  it("says what each operation answers, of success and of failure", async () => {
    const succeeded = new Set<string>();

    /** Asks, and holds the answer to the document. */
    const ask = async (
      operationId: string,
      values: Record<string, string> = {},
      body?: object,
      as = key,
      headers: Record<string, string> = {},
    ) => {
      const operation = document.operations.find((each) => each.operationId === operationId);
      if (operation === undefined) throw new Error(`no operation ${operationId}`);
      const used = new Set<string>();
      const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
        used.add(name);
        return values[name] ?? "";
      });
      const query = new URLSearchParams(Object.entries(values).filter(([name]) => !used.has(name)));
      const answer = await api.ask(operation.method, `${path}?${query}`, {
        ...(operation.isPublic ? {} : { key: operation.isAdmins ? ADMIN_KEY : as }),
        ...(body === undefined ? {} : { body }),
        headers,
      });
      const what = `${operationId}: ${JSON.stringify(answer.body)}`;
      expect(document.misfits(operation, answer), what).to.deep.equal([]);
      // What a newer version may add to any object of an answer.
      const newer = { ...answer, body: withUnknownField(answer.body) };
      expect(document.refusals(operation, newer), what).to.deep.equal([]);
      const undescribed = undescribedHeaders(served, operation, answer);
      expect(undescribed, `${operationId}: headers that are not described`).to.deep.equal([]);
      if (answer.status < 300) succeeded.add(operationId);
      return answer.body;
    };

    let key = "";
    const account = newAccount();
    const merchant = await ask("createMerchant", {}, { name: "Shop" });
    const ofMerchant = { merchant_id: merchant.id };
    await ask("getMerchant", ofMerchant);
    await ask("updateMerchant", ofMerchant, { allowed_origins: ["https://shop.example.com"] });
    const firstKey = await ask("createKey", ofMerchant, {});
    key = firstKey.key;
    await ask("registerAccount", ofMerchant, { account, assets: ["native"] });
    await ask("listAccounts", ofMerchant);
    await ask("updateAccount", { ...ofMerchant, account }, { assets: ["native", `USD:${account}`] });

    const hook = await ask("createWebhookEndpoint", {}, { url: "https://shop.example.com/hooks" });
    const endpoint = { endpoint_id: hook.id };

    const charge = { amount: "10", currency: "EUR", provider: "test", payload: { token: "t" } };
    const order = { amount: "10", asset: "native", metadata: { order: "1" } };
    const session = await ask("createSession", {}, order);
    const muxed = await ask("createSession", {}, { ...order, muxed_id: "7" });
    const paid = await ask("createSession", {}, { ...order, success_url: "https://shop.example.com/" });
    const open = await ask("createSession", {}, order);
    await ask("handInTransaction", { id: open.id }, { transaction: signedForShown(open, stage) });
    const short = creditOf(session, { amount: toStroops(1n) });
    const [good, second] = [creditOf(paid), creditOf(paid)];
    await settle(database.dataSource, [short, good, second, anUnreadable(account)]);
    for (const each of [session, muxed, paid]) {
      await ask("getSession", { id: each.id });
      await ask("getPublicSession", { id: each.id });
    }
    await ask("listSessions", { limit: "2", "metadata[order]": "1" });
    await ask("listSessionCredits", { id: paid.id });
    await ask("cancelSession", { id: muxed.id });
    await ask("expireSession", { id: session.id });
    const states: string = await ask("streamSession", { id: paid.id });
    const last = /^id: (.+)$/m.exec(states)?.[1] ?? "";
    expect(await ask("streamSession", { id: paid.id }, undefined, key, { "Last-Event-ID": last })).to.equal(
      "",
    );
    await ask("listPayments", { limit: "1" });
    await ask("getPayment", { key: creditKeyText(good) });
    await ask("listExceptions", { open: "true" });
    await ask("decideException", { key: creditKeyText(short) }, { verdict: "accept", note: "n" });
    await ask("decideException", { key: creditKeyText(second) }, { verdict: "refund", note: "n" });
    await ask("getException", { key: creditKeyText(short) });
    await ask("listPayments");
    await ask("listExceptions");
    for (const file of ["exportSessions", "exportPayments", "exportExceptions"]) await ask(file);

    await ask("getChargeMemo", { reference: "1" });
    const charged = { ...charge, reference: "1" };
    const first = await ask("createCharge", {}, charged);
    await ask("getCharge", { id: first.id });
    await ask("cancelCharge", { id: first.id });
    await ask("listCharges", { reference: "1", status: "cancelled", provider: "test", limit: "1" });
    await database.dataSource.query(
      `INSERT INTO charge_attempts (charge_id, attempt, kind) VALUES ($1, 1, 'charge')`,
      [first.id],
    );
    await ask("listChargeAttempts", { id: first.id });

    const [event] = (await ask("listEvents", { delivered: "false" })).data;
    await ask("getEvent", { id: event.id });
    const delivery = { ...endpoint, event_id: event.id };
    await database.dataSource.query(
      `INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms, response_status)
       VALUES ($1, $2, 1, now(), 12, 503)`,
      [event.id, hook.id],
    );
    await ask("listWebhookEndpoints");
    await ask("getWebhookEndpoint", endpoint);
    await ask("updateWebhookEndpoint", endpoint, { event_types: ["payment.confirmed"] });
    await ask("listWebhookDeliveries");
    await ask("listWebhookAttempts", delivery);
    await ask("redeliverEvent", delivery);
    await ask("redeliverSince", endpoint, { since: "2026-01-01T00:00:00Z" });
    await ask("testWebhookEndpoint", endpoint);
    await ask("rotateWebhookSecret", endpoint, {});
    await ask("pauseWebhookEndpoint", endpoint);
    await ask("resumeWebhookEndpoint", endpoint);
    const ofAny = { ...ofMerchant, ...endpoint };
    await ask("listMerchantWebhookEndpoints", ofMerchant);
    await ask("disableMerchantWebhookEndpoint", ofAny, { because: "it is down" });
    await ask("resumeMerchantWebhookEndpoint", ofAny);
    await ask("deleteWebhookEndpoint", endpoint);
    const another = await ask("createWebhookEndpoint", {}, { url: "https://shop.example.com/hooks" });
    await ask("deleteMerchantWebhookEndpoint", { ...ofMerchant, endpoint_id: another.id });

    const ofKey = { ...ofMerchant, key_id: firstKey.id };
    await ask("listKeys", ofMerchant);
    await ask("rotateKey", ofKey, {});
    const failures = [
      await ask("createSession", {}, { amount: "x" }),
      await ask("getSession", { id: uuidv7() }),
      await ask("cancelSession", { id: paid.id }),
      await ask("createSession", {}, { ...order, account: newAccount() }),
      await ask("createCharge", {}, charged),
      await ask("createCharge", {}, { ...charge, reference: "2", provider: "nobody" }),
      await ask("getPayment", { key: "1-0" }, undefined, "sk_test_wrong"),
    ];
    expect(failures.map(({ status }: Json) => status)).to.deep.equal([400, 404, 409, 422, 409, 422, 401]);
    await ask("revokeKey", ofKey);

    const all = document.operations.map(({ operationId }) => operationId);
    expect(all.filter((operationId) => !succeeded.has(operationId))).to.deep.equal([]);
  });

  it("says the limits that hold: each of these is refused by the document and by the API, or taken by both", async () => {
    const merchant = (await api.ask("POST", "/v1/merchants", { key: ADMIN_KEY, body: { name: "Limits" } }))
      .body;
    const made = await api.ask("POST", `/v1/merchants/${merchant.id}/keys`, { key: ADMIN_KEY, body: {} });
    const key: string = made.body.key;
    const account = newAccount();
    await api.ask("POST", `/v1/merchants/${merchant.id}/accounts`, {
      key: ADMIN_KEY,
      body: { account, assets: ["native"] },
    });
    const session = { amount: "1", asset: "native" };
    const charge = { amount: "1", currency: "EUR", provider: "test", payload: { token: "t" } };
    let orders = 0;
    const cases: [operationId: string, body: object, isTaken: boolean][] = [
      ...(
        [
          ["12.50", true],
          ["0.0000001", true],
          ["0.1", true],
          ["899999999999.9999999", true],
          ["012.50", false],
          ["00.5", false],
          ["0", false],
          ["0.0000000", false],
          ["0.00000001", false],
          ["1.", false],
          [".5", false],
          ["-1", false],
          ["1e3", false],
          ["1 ", false],
          ["9999999999999", false],
          [1, false],
        ] as const
      ).flatMap(([amount, isTaken]): [string, object, boolean][] => [
        ["createSession", { ...session, amount }, isTaken],
        ["createCharge", { ...charge, amount, reference: `amount-${++orders}` }, isTaken],
      ]),
      ["createSession", { ...session, metadata: { "": "x" } }, false],
      ["createSession", { ...session, metadata: { "a[b]": "x" } }, true],
      ["createSession", { ...session, metadata: { ["k".repeat(201)]: "x" } }, false],
      [
        "createSession",
        { ...session, metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, "x"])) },
        false,
      ],
      ["createSession", { ...session, expires_in_seconds: 59 }, false],
      ["createSession", { ...session, expires_in_seconds: 90 * 86_400 + 1 }, false],
      ["createSession", { ...session, expires_in_seconds: 60.5 }, false],
      ["createSession", { ...session, grace_seconds: -1 }, false],
      ["createSession", { ...session, asset: "USD" }, false],
      ["createSession", { ...session, account: "X" }, false],
      ["createSession", { ...session, success_url: "ftp://x" }, false],
      ["createSession", { ...session, success_url: `https://x/${"a".repeat(2_048)}` }, false],
      ["createSession", { ...session, memo: { type: "text", value: "" } }, false],
      ["createSession", { ...session, unknown: 1 }, false],
      ["createSession", { ...session, muxed_id: "7", memo: { type: "id", value: "7" } }, false],
      ["createSession", { ...session, expires_in_seconds: 60, expires_at: "2030-01-01T00:00:00Z" }, false],
      ["createCharge", { ...charge, reference: "both", asset: "native" }, false],
      ["createCharge", { ...charge, reference: "" }, false],
      ["createCharge", { ...charge, reference: "r".repeat(201) }, false],
      ["createCharge", { ...charge, reference: "eur", currency: "eur" }, false],
      ["createWebhookEndpoint", { url: "https://x.example", event_types: [] }, false],
      ["createWebhookEndpoint", { url: "https://" }, false],
      ["createWebhookEndpoint", { url: "shop.example" }, false],
      ["createSession", { ...session, account: `GE${account.slice(2)}` }, false],
      ["createSession", { ...session, asset: `USD:GE${account.slice(2)}` }, false],
      ["createMerchant", { name: " \t" }, false],
      ["createMerchant", { name: " Shop " }, true],
      ["createMerchant", { name: "Shop", allowed_origins: ["http://[::1]:8080"] }, true],
      ...[
        "",
        "https://",
        "https://shop.example/",
        "https://Shop.example",
        "https://a@shop.example",
        "ftp://a",
      ].map((origin): [string, object, boolean] => [
        "createMerchant",
        { name: "Shop", allowed_origins: [origin] },
        false,
      ]),
    ];
    for (const [operationId, body, isTaken] of cases) {
      const operation = document.operations.find((each) => each.operationId === operationId);
      if (operation === undefined) throw new Error(`no operation ${operationId}`);
      const as = operation.isAdmins ? ADMIN_KEY : key;
      const answer = await api.ask(operation.method, operation.path, { key: as, body });
      const what = `${operationId} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`;
      expect(answer.status < 300, what).to.equal(isTaken);
      expect(document.takes(operation, body), what).to.equal(isTaken);
    }
  });

  it("says which bodies may be left out, and they may", async () => {
    const { body: merchant } = await api.ask("POST", "/v1/merchants", {
      key: ADMIN_KEY,
      body: { name: "Shop" },
    });
    expect(served.paths["/v1/merchants/{merchant_id}/keys"].post.requestBody.required ?? false).to.equal(
      false,
    );
    const made = await api.ask("POST", `/v1/merchants/${merchant.id}/keys`, { key: ADMIN_KEY });
    expect(made.status).to.equal(201);
    expect(served.paths["/v1/checkout/sessions"].post.requestBody.required).to.equal(true);
    const none = await api.ask("POST", "/v1/checkout/sessions", { key: made.body.key });
    expect(none.status).to.equal(400);
  });

  it("a time is taken with any offset, in a body and in a query, and an empty key is none", async () => {
    const { body: merchant } = await api.ask("POST", "/v1/merchants", {
      key: ADMIN_KEY,
      body: { name: "Shop" },
    });
    const { body: made } = await api.ask("POST", `/v1/merchants/${merchant.id}/keys`, { key: ADMIN_KEY });
    const { key } = made;
    await api.ask("POST", `/v1/merchants/${merchant.id}/accounts`, {
      key: ADMIN_KEY,
      body: { account: newAccount(), assets: ["native"] },
    });
    const at = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);
    const local = new Date(at.getTime() + 19_800_000).toISOString().replace(".000Z", "+05:30");
    for (const expires_at of [at.toISOString(), at.toISOString().replace(".000Z", "+00:00"), local]) {
      const body = { amount: "1", asset: "native", expires_at };
      const answer = await api.ask("POST", "/v1/checkout/sessions", { key, body });
      expect([answer.status, answer.body.expires_at], expires_at).to.deep.equal([201, at.toISOString()]);
    }
    for (const [time, status] of [
      ["2026-01-01T00:00:00%2B00:00", 200],
      ["2026-01-01T00:00:00+00:00", 200],
      ["2026-01-01T00:00:00.123456-07:00", 200],
      ["2026-01-01T00:00:00", 400],
      ["2026-01-01", 400],
      ["0001-01-01T00:00:00%2B01:00", 400],
      ["9999-12-31T23:59:59-01:00", 400],
    ] as const) {
      for (const list of ["/v1/checkout/sessions?created_after", "/v1/payments?closed_before"]) {
        expect((await api.ask("GET", `${list}=${time}`, { key })).status, `${list} ${time}`).to.equal(status);
      }
    }
    const empty = await api.ask("POST", `/v1/checkout/sessions/${uuidv7()}/cancel`, {
      key,
      headers: { "Idempotency-Key": "" },
    });
    expect([empty.status, empty.body.type]).to.deep.equal([
      400,
      "https://paidonce.dev/problems/idempotency-key-invalid",
    ]);
  });

  it("is served with a page to read it on, which loads nothing from elsewhere", async () => {
    const page = await api.ask("GET", "/docs");
    expect(page.headers.get("content-security-policy")).to.include("default-src 'none'");
    const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]: string[]) => file ?? "");
    expect(files.shift()).to.equal("data:,");
    expect(files).to.have.length(4);
    for (const file of files) {
      expect(file).to.match(/^\/docs\//);
      expect((await api.ask("GET", file)).status).to.equal(200);
    }
  });
});

/** Of HTTP itself, or for browsers: no client is made to read them. */
const COMMON =
  /^(access-control-|cache-control|connection|content-|cross-origin-|date|keep-alive|origin-agent|referrer-|strict-transport|transfer-encoding|vary|x-(content|dns|download|frame|permitted|xss|accel)|allow$|accept-encoding$)/;

function undescribedHeaders(served: Json, { path, method }: Operation, answer: ApiAnswer): string[] {
  const { responses } = served.paths[path][method.toLowerCase()];
  const described = Object.keys((responses[`${answer.status}`] ?? responses.default).headers ?? {});
  const names = described.map((name) => name.toLowerCase());
  return [...answer.headers.keys()].filter((name) => !COMMON.test(name) && !names.includes(name));
}
