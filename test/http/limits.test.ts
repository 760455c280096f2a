import { expect } from "chai";
import type { AppSources } from "../../src/http/app.js";
import { createRegistry } from "../../src/metrics/registry.js";
import { SharedStatus } from "../../src/status/shared-status.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { type ApiAnswer, aMerchant, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { LIMITS } from "../support/status.js";

const ID = "01a1fde5-2471-7749-bad1-d5169feeeec6";
const LIMIT = 3;

describe("src/http/rate-limit: how often a stranger may ask", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let apis: TestApi[];

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
  });
  beforeEach(() => {
    apis = [];
  });
  afterEach(async () => {
    for (const api of apis) await api.redis.flushall();
    await Promise.all(apis.map((api) => api.stop()));
  });
  after(async () => {
    await redisServer.stop();
    await database.close();
  });

  const start = async (overrides: Partial<AppSources> = {}, perAddress = LIMIT): Promise<TestApi> => {
    const api = await startApi(database.dataSource, redisServer.url, {
      limits: { perMerchant: 100_000, perAddress },
      stripeWebhookSecret: "whsec_of_the_tests",
      ...overrides,
    });
    apis.push(api);
    return api;
  };
  const withOps = async () => {
    const api = await start();
    const status = new SharedStatus({
      dataSource: database.dataSource,
      redis: api.redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
    });
    const access = {
      isOpen: false,
      user: "operator",
      passwordHash: undefined,
      trustedHeader: undefined,
      mayAct: false,
    };
    return start({ ops: { status, registry: createRegistry(), access } });
  };
  const statuses = async (ask: () => Promise<ApiAnswer>, times = LIMIT + 1) => {
    const answers: number[] = [];
    for (let i = 0; i < times; i++) answers.push((await ask()).status);
    return answers;
  };
  const preflight = { Origin: "https://x.example", "Access-Control-Request-Method": "POST" };

  const CASES: readonly [method: string, path: string, headers: Record<string, string>, before: number][] = [
    ["GET", "/v1/status", {}, 200],
    ["GET", "/metrics", {}, 200],
    ["GET", "/nowhere", {}, 404],
    ["GET", "/nowhere", { Authorization: "Bearer nonsense" }, 404],
    ["DELETE", "/v1/status", {}, 405],
    ["GET", "/v1/openapi.json", {}, 200],
    ["GET", "/docs", {}, 200],
    ["GET", "/docs/swagger-ui.css", {}, 200],
    ["OPTIONS", "/v1/charges", preflight, 204],
    ["OPTIONS", "/nowhere", preflight, 404],
    ["GET", "/v1/charges", {}, 401],
    ["GET", "/v1/charges", { Authorization: "Bearer sk_test_wrong" }, 401],
    ["GET", `/v1/checkout/sessions/${ID}/public`, {}, 404],
    ["POST", `/v1/checkout/sessions/${ID}/transaction`, {}, 400],
    ["GET", `/pay/${ID}`, { Accept: "application/json" }, 404],
    ["POST", `/pay/${ID}/transaction`, {}, 415],
    ["POST", "/v1/providers/stripe/webhook", {}, 400],
    ["POST", "/v1/providers/stripe/webhook", { "Stripe-Signature": "t=1,v1=00" }, 400],
  ];
  for (const [method, path, headers, status] of CASES) {
    it(`${method} ${path} ${Object.keys(headers).join(" ")}: ${LIMIT} times a minute`, async () => {
      const api = await withOps();
      const answers = await statuses(() => api.ask(method, path, { headers }));
      expect(answers).to.deep.equal([...Array.from({ length: LIMIT }, () => status), 429]);
      const refused = await api.ask(method, path, { headers });
      expect(refused.headers.get("content-type")).to.match(/^application\/problem\+json/);
      expect(Number(refused.headers.get("retry-after"))).to.be.within(1, 60);
    });
  }

  it("probes are always answered, and a merchant's key is not held to its address's limit", async () => {
    const api = await start();
    const { key } = await aMerchant(api);
    await statuses(() => api.ask("GET", "/v1/status"));
    await statuses(() => api.ask("GET", "/v1/charges"));
    for (const path of ["/healthz", "/readyz"]) {
      expect(await statuses(() => api.ask("GET", path)), path).to.deep.equal([200, 200, 200, 200]);
    }
    expect(await statuses(() => api.ask("GET", "/v1/charges", { key }))).to.deep.equal([200, 200, 200, 200]);
  });

  it("metrics and the status are answered, and limited, while Redis is away", async () => {
    const api = await withOps();
    await redisServer.kill();
    try {
      for (const path of ["/metrics", "/v1/status"])
        expect((await api.ask("GET", path)).status).to.equal(200);
      const last = await statuses(() => api.ask("GET", "/v1/status"), 2);
      expect(last).to.deep.equal([200, 429]);
    } finally {
      await redisServer.restart();
      while ((await api.ask("GET", "/readyz")).status !== 200);
    }
  });

  describe("by the address of whoever asks, not of whom it names", () => {
    /** How many of these each may ask once where one request a minute is allowed: who counts as one shares it. */
    const answered = async (trustProxy: AppSources["trustProxy"], forwarded: readonly string[]) => {
      const api = await start({ trustProxy }, 1);
      const answers: number[] = [];
      for (const text of forwarded) {
        const headers = text === "" ? {} : { "X-Forwarded-For": text };
        answers.push((await api.ask("GET", "/v1/charges", { headers })).status);
        answers.push((await api.ask("GET", "/v1/status", { headers })).status);
      }
      return answers.map((status) => status !== 429);
    };
    const both = (...isAnswered: boolean[]) => isAnswered.flatMap((one) => [one, one]);

    it("without a proxy nothing that a caller writes counts", async () => {
      expect(await answered(0, ["1.1.1.1", "2.2.2.2", ""])).to.deep.equal(both(true, false, false));
    });

    it("behind one proxy that adds to what came, only what it has added counts", async () => {
      expect(await answered(1, ["6.6.6.1, 1.1.1.1", "6.6.6.2, 1.1.1.1", "6.6.6.2, 2.2.2.2"])).to.deep.equal(
        both(true, false, true),
      );
    });

    it("behind two, what the outer one has added", async () => {
      expect(
        await answered(2, [
          "6.6.6.1, 1.1.1.1, 10.0.0.1",
          "6.6.6.2,1.1.1.1,10.0.0.2",
          "1.1.1.1, 2.2.2.2, 10.0.0.1",
          "3.3.3.3",
        ]),
      ).to.deep.equal(both(true, false, true, true));
    });

    it("behind proxies of known networks, the first address from the right that is in none", async () => {
      const networks = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"];
      expect(
        await answered(networks, [
          "6.6.6.1, 1.1.1.1, 10.9.9.9",
          "10.1.1.1, 1.1.1.1, fd00::7, 10.0.0.1",
          "2.2.2.2:4711",
          "[2001:db8::1]:80, 2.2.2.2",
        ]),
      ).to.deep.equal(both(true, false, true, false));
    });

    it("whoever comes past the proxies of known networks is known by its own address", async () => {
      expect(await answered(["10.0.0.0/8"], ["1.1.1.1", "2.2.2.2"])).to.deep.equal(both(true, false));
    });

    it("what is no address is the proxy's that has passed it on", async () => {
      expect(await answered(1, ["unknown", "x".repeat(5_000), "1.1.1.1,", "999.1.1.1"])).to.deep.equal(
        both(true, false, false, false),
      );
    });

    it("an address of IPv6 is one of 2^64 that its holder has: all of a /64 are one, another /64 is not", async () => {
      expect(
        await answered(1, [
          "2001:db8:1:2::1",
          "2001:DB8:1:2:ffff::9",
          "2001:db8:1:3::1",
          "::ffff:1.2.3.4",
          "1.2.3.4",
        ]),
      ).to.deep.equal(both(true, false, true, true, false));
    });
  });

  it("a path that a proxy closes has no other spelling", async () => {
    const api = await withOps();
    for (const path of [
      "/Metrics",
      "/metrics/",
      "/V1/charges",
      "/v1/charges/",
      "/v1/Status",
      "/pay/",
      "/Docs",
    ]) {
      expect((await api.ask("GET", path)).status, path).to.be.oneOf([404, 429]);
    }
    const fresh = await withOps();
    expect((await fresh.ask("GET", "/metrics")).status).to.equal(200);
  });
});
