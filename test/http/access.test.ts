import { expect } from "chai";
import { PUBLIC_NETWORK } from "../../src/stellar/network.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { ADMIN_KEY, aMerchant, startApi, type TestApi } from "../support/api.js";
import { connect, createTestDatabase, sharedPostgres, type TestDatabase } from "../support/database.js";

/** Every route that answers without a key, on purpose. A new one must be added here, or the test fails. */
const PUBLIC = [
  "GET /v1/checkout/sessions/:id/public",
  "GET /v1/checkout/sessions/:id/events",
  // Whoever can sign a payment may have it sent.
  "POST /v1/checkout/sessions/:id/transaction",
];

/** Parameters that fit any route's schema, so that nothing but the key can be refused. */
const ID = "01a1fde5-2471-7749-bad1-d5169feeeec6";

describe("who may ask", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let merchant: { merchantId: string; key: string };
  const others: TestApi[] = [];

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url);
    merchant = await aMerchant(api);
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((other) => other.stop()));
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  const start = async (
    ...rest: Parameters<typeof startApi> extends [unknown, unknown, ...infer R] ? R : []
  ) => {
    const other = await startApi(database.dataSource, redisServer.url, ...rest);
    others.push(other);
    return other;
  };
  const kind = (body: { type?: string }) => body.type?.split("/").at(-1);
  const admin = (method: string, path: string, body?: object) =>
    api.ask(method, path, { key: ADMIN_KEY, ...(body === undefined ? {} : { body }) });

  it("each route of the running API refuses no key, a wrong key, and a key of the other kind", async () => {
    const open: string[] = [];
    for (const { method, path, access } of api.routes) {
      if (access === "public") {
        open.push(`${method} ${path}`);
        continue;
      }
      const to = path.replace(/:\w+/g, ID);
      const ask = (key?: string) =>
        api.ask(method, to, {
          ...(key === undefined ? {} : { key }),
          ...(method === "GET" ? {} : { body: {} }),
        });
      const answers = [
        await ask(),
        await ask("sk_test_wrong"),
        await ask(access === "admin" ? merchant.key : ADMIN_KEY),
      ];
      expect(
        answers.map(({ status, body }) => [status, kind(body)]),
        `${method} ${path}`,
      ).to.deep.equal([
        [401, "unauthorized"],
        [401, "unauthorized"],
        [403, "forbidden"],
      ]);
      expect(answers[0]?.headers.get("www-authenticate")).to.equal('Bearer realm="paidonce"');
    }
    expect(open.sort()).to.deep.equal([...PUBLIC].sort());
  });

  it("a key comes as Bearer or as the user of Basic; anything else is refused", async () => {
    const ask = (authorization: string) =>
      api.ask("GET", "/v1/payments", { headers: { Authorization: authorization } });
    const basic = Buffer.from(`${merchant.key}:`).toString("base64");
    expect((await ask(`bearer ${merchant.key}`)).status).to.equal(200);
    expect((await ask(`Basic ${basic}`)).status).to.equal(200);
    for (const wrong of [merchant.key, "Bearer", "Basic !", `Digest ${merchant.key}`]) {
      expect((await ask(wrong)).status, wrong).to.equal(401);
    }
  });

  it("a key is shown once; a rotated one works until its overlap is over, a revoked one no longer", async () => {
    const keys = `/v1/merchants/${merchant.merchantId}/keys`;
    const { body: first } = await admin("POST", keys, { name: "till" });
    const works = async (key: string) => (await api.ask("GET", "/v1/payments", { key })).status;
    const { body: listed } = await admin("GET", keys);
    expect(JSON.stringify(listed)).not.to.include(first.key);
    expect(listed.data.map((each: { prefix: string }) => each.prefix)).to.include(first.key.slice(0, 16));

    const { body: second } = await admin("POST", `${keys}/${first.id}/rotate`, { overlap_seconds: 3600 });
    expect([await works(first.key), await works(second.key)]).to.deep.equal([200, 200]);
    await database.dataSource.query("UPDATE api_keys SET expires_at = now() WHERE id = $1", [first.id]);
    expect([await works(first.key), await works(second.key)]).to.deep.equal([401, 200]);
    const { body: third } = await admin("POST", `${keys}/${second.id}/rotate`, { overlap_seconds: 0 });
    expect([await works(second.key), await works(third.key)]).to.deep.equal([401, 200]);

    const revoked = await admin("POST", `${keys}/${third.id}/revoke`);
    const again = await admin("POST", `${keys}/${third.id}/revoke`);
    expect(again.body).to.deep.equal(revoked.body);
    expect(await works(third.key)).to.equal(401);
    const late = await admin("POST", `${keys}/${third.id}/rotate`, {});
    expect([late.status, kind(late.body)]).to.deep.equal([409, "conflict"]);
    const stranger = await aMerchant(api);
    const foreign = await admin("POST", `/v1/merchants/${stranger.merchantId}/keys/${third.id}/revoke`);
    expect(foreign.status).to.equal(404);
  });

  it("a repetition of the request that made a key does not show it again", async () => {
    const options = { key: ADMIN_KEY, body: {}, headers: { "Idempotency-Key": "key-once" } };
    const path = `/v1/merchants/${merchant.merchantId}/keys`;
    const first = await api.ask("POST", path, options);
    const again = await api.ask("POST", path, options);
    const { key: shown, ...rest } = first.body;
    expect(shown).to.match(/^sk_test_/);
    expect(again.body).to.deep.equal(rest);
  });

  it("a test key does nothing on the public network", async () => {
    const live = await start({ networkPassphrase: PUBLIC_NETWORK });
    const answer = await live.ask("GET", "/v1/payments", { key: merchant.key });
    expect([answer.status, kind(answer.body)]).to.deep.equal([403, "wrong-mode"]);
  });

  it("without an admin key configured, nobody is the admin", async () => {
    const closed = await start({ adminKey: undefined });
    expect(
      (await closed.ask("POST", "/v1/merchants", { key: ADMIN_KEY, body: { name: "x" } })).status,
    ).to.equal(401);
  });

  it("a merchant's allowance is one for all its keys and all replicas, told in headers, and ends in 429", async () => {
    const { merchantId, key } = await aMerchant(api);
    const { body: other } = await admin("POST", `/v1/merchants/${merchantId}/keys`, {});
    const limits = { perMerchant: 3, perAddress: 100_000 };
    const [a, b] = [await start({ limits }), await start({ limits })];
    const asked = [
      await a.ask("GET", "/v1/payments", { key }),
      await b.ask("GET", "/v1/payments", { key: other.key }),
      await a.ask("GET", "/v1/exceptions", { key }),
      await b.ask("GET", "/v1/payments", { key }),
    ];
    expect(asked.map(({ status }) => status)).to.deep.equal([200, 200, 200, 429]);
    expect(asked.map(({ headers }) => headers.get("ratelimit")?.split(";t")[0])).to.deep.equal([
      '"default";r=2',
      '"default";r=1',
      '"default";r=0',
      '"default";r=0',
    ]);
    const refused = asked[3];
    expect(refused?.headers.get("ratelimit-policy")).to.equal('"default";q=3;w=60');
    expect(Number(refused?.headers.get("retry-after"))).to.be.within(1, 60);
    expect(kind(refused?.body)).to.equal("rate-limited");
    const stranger = await aMerchant(api);
    expect((await a.ask("GET", "/v1/payments", { key: stranger.key })).status).to.equal(200);
  });

  it("wrong keys cost their sender's address, so that nobody tries them without end", async () => {
    const guarded = await start({ limits: { perMerchant: 100_000, perAddress: 2 } });
    await guarded.redis.flushall();
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      statuses.push((await guarded.ask("GET", "/v1/payments", { key: `sk_test_${i}` })).status);
    }
    expect(statuses).to.deep.equal([401, 401, 429]);
    expect((await guarded.ask("GET", "/v1/payments", { key: merchant.key })).status).to.equal(200);
  });

  it("bodies: over 64 KiB, no JSON, another type, half a gzip: each its own problem, never a stack trace", async () => {
    const post = async (body: string, type = "application/json", headers = {}) => {
      const answer = await fetch(`${api.url}/v1/checkout/sessions`, {
        method: "POST",
        body,
        headers: {
          Authorization: `Bearer ${merchant.key}`,
          "Content-Type": type,
          "Idempotency-Key": "body-limits",
          ...headers,
        },
      });
      const text = await answer.text();
      expect(answer.headers.get("content-type")).to.match(/^application\/problem\+json/);
      expect(text).not.to.match(/\\n +at |node_modules|\.js:/);
      return kind(JSON.parse(text));
    };
    expect(await post(JSON.stringify({ a: "x".repeat(70_000) }))).to.equal("body-too-large");
    expect(await post('{"amount": ')).to.equal("invalid-json");
    expect(await post("[1]")).to.equal("invalid-request");
    expect(await post('"text"')).to.equal("invalid-json");
    expect(await post("amount=1", "application/x-www-form-urlencoded")).to.equal("unsupported-media-type");
    expect(await post("nonsense", "application/json", { "Content-Encoding": "gzip" })).to.equal(
      "invalid-json",
    );
    expect(await post("{}", "application/json", { "Content-Encoding": "zebra" })).to.equal(
      "unsupported-media-type",
    );
    expect(await post("[".repeat(1_000) + "]".repeat(1_000))).to.equal("invalid-request");
    expect(await post(`{"metadata":{"__proto__":"x"},"amount":"1","asset":"native"}`)).to.equal(
      "invalid-json",
    );
  });

  it("web pages: a merchant's own origins may read its answers, others not; what needs no key is everybody's", async () => {
    const { merchantId, key } = await aMerchant(api);
    const origin = "https://shop.example.com";
    await admin("PATCH", `/v1/merchants/${merchantId}`, { allowed_origins: [origin] });
    const readableBy = async (from: string, as?: string, path = "/v1/payments") => {
      const answer = await api.ask("GET", path, { headers: { Origin: from }, ...(as ? { key: as } : {}) });
      return answer.headers.get("access-control-allow-origin");
    };
    expect(await readableBy(origin, key)).to.equal(origin);
    expect(await readableBy("https://evil.example.com", key)).to.equal(null);
    expect(await readableBy(origin, merchant.key)).to.equal(null);
    expect(await readableBy(origin, undefined, `/v1/checkout/sessions/${ID}/public`)).to.equal("*");
    const preflight = async (from: string) => {
      const answer = await fetch(`${api.url}/v1/checkout/sessions`, {
        method: "OPTIONS",
        headers: {
          Origin: from,
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "authorization,idempotency-key",
        },
      });
      return answer.headers.get("access-control-allow-origin");
    };
    expect(await preflight(origin)).to.equal(origin);
    expect(await preflight("https://evil.example.com")).to.equal(null);
  });

  it("every answer names its request: by the caller's own id where it is fit, and in the problem too", async () => {
    const named = await api.ask("GET", "/v1/payments", { headers: { "X-Request-Id": "order-1234.a" } });
    expect([named.headers.get("x-request-id"), named.body.request_id]).to.deep.equal([
      "order-1234.a",
      "order-1234.a",
    ]);
    const unfit = await api.ask("GET", "/v1/payments", { headers: { "X-Request-Id": 'a"b c' } });
    expect(unfit.headers.get("x-request-id")).to.match(/^[0-9a-f-]{36}$/);
    expect(unfit.body.request_id).to.equal(unfit.headers.get("x-request-id"));
    for (const header of ["x-content-type-options", "content-security-policy", "referrer-policy"]) {
      expect(unfit.headers.has(header), header).to.equal(true);
    }
  });

  it("a fault of ours is a 500 that shows nothing, an absent database a 503 with Retry-After", async () => {
    const empty = await connect((await sharedPostgres()).url);
    const broken = await startApi(empty, redisServer.url);
    try {
      const fault = await broken.ask("GET", `/v1/merchants/${ID}`, { key: ADMIN_KEY });
      expect([fault.status, kind(fault.body)]).to.deep.equal([500, "internal"]);
      expect(JSON.stringify(fault.body)).not.to.match(/relation|merchants\b|\.js/);
      await empty.destroy();
      const away = await broken.ask("GET", `/v1/merchants/${ID}`, { key: ADMIN_KEY });
      expect([away.status, kind(away.body), away.headers.get("retry-after")]).to.deep.equal([
        503,
        "unavailable",
        "1",
      ]);
    } finally {
      await broken.stop();
      if (empty.isInitialized) await empty.destroy();
    }
  });
});
