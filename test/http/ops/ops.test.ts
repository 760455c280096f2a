import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { ConfigError, readConfig } from "../../../src/config.js";
import { renderTiles } from "../../../src/http/ops/figures.js";
import { hashPassword, type OpsAccess, readOpsAccess } from "../../../src/http/ops/login.js";
import type { Ops } from "../../../src/http/ops/mount-ops.js";
import { PREFIX, WEBHOOK_QUEUE } from "../../../src/jobs/queue.js";
import { createRegistry } from "../../../src/metrics/registry.js";
import { SharedStatus } from "../../../src/status/shared-status.js";
import type { StatusLimits } from "../../../src/status/status.js";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { REQUIRED } from "../../docs/configuration-page.js";
import { ADMIN_KEY, startApi, type TestApi } from "../../support/api.js";
import { watchAccount } from "../../support/books.js";
import { createTestDatabase, type TestDatabase } from "../../support/database.js";
import { CHARGES, LIMITS, openExceptions, WELL } from "../../support/status.js";
import { plainRedis } from "../../support/stream.js";

const PASSWORD = "correct horse battery";

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

const RIGHT = basic("operator", PASSWORD);

/** Everything under /ops that a login guards. */
const GUARDED = [
  "/ops",
  "/ops/",
  "/ops/live.json",
  "/ops/history.json",
  "/ops/assets/page.js",
  "/ops/queues",
  "/ops/queues/",
  "/ops/queues/api/queues",
  "/ops/queues/static/js/main.js",
  "/ops/no-such-page",
];

describe("the operators' pages", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let passwordHash: string;
  let apis: TestApi[];

  before(async () => {
    passwordHash = await hashPassword(PASSWORD);
  });
  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    apis = [];
  });
  afterEach(async () => {
    await Promise.all(apis.map((api) => api.stop()));
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const start = async (access: Partial<OpsAccess> = {}): Promise<TestApi> => {
    const ops: Ops = {
      status: new SharedStatus({
        dataSource: database.dataSource,
        redis,
        lockServers: [],
        lockMode: "off",
        statusLimits: LIMITS,
      }),
      registry: createRegistry(),
      access: {
        isOpen: false,
        user: "operator",
        passwordHash,
        trustedHeader: undefined,
        mayAct: false,
        ...access,
      },
    };
    const api = await startApi(database.dataSource, server.url, { ops });
    apis.push(api);
    return api;
  };

  describe("login", () => {
    it("guards everything under /ops, and a merchant's or the admin's key does not open it", async () => {
      const api = await start();
      for (const path of GUARDED) {
        for (const headers of [{}, { Authorization: `Bearer ${ADMIN_KEY}` }, basic("operator", "wrong")]) {
          const answer = await api.ask("GET", path, { headers });
          if (answer.status === 429) continue;
          expect([path, answer.status]).to.deep.equal([path, 401]);
          expect(answer.headers.get("content-type")).to.match(/^application\/problem\+json/);
          expect(answer.headers.get("www-authenticate")).to.match(/^Basic realm=/);
          expect(answer.body.type).to.equal("https://paidonce.dev/problems/unauthorized");
        }
      }
    });

    it("can't be walked around by another spelling of the path", async () => {
      const api = await start();
      for (const path of [
        "/OPS",
        "/Ops/live.json",
        "//ops",
        "/ops%2Flive.json",
        "/x/../ops/live.json",
        "/%6Fps",
      ]) {
        const { status, body } = await api.ask("GET", path);
        expect([401, 404]).to.include(status);
        expect(JSON.stringify(body)).not.to.include("figures");
      }
    });

    it("guards nothing else", async () => {
      const api = await start();
      for (const path of ["/healthz", "/readyz", "/v1/status", "/metrics"])
        expect((await api.ask("GET", path)).status).to.equal(200);
    });

    it("opens with user and password, and only with both", async () => {
      const api = await start();
      expect((await api.ask("GET", "/ops", { headers: RIGHT })).status).to.equal(200);
      for (const wrong of [
        basic("operator", `${PASSWORD} `),
        basic("Operator", PASSWORD),
        basic("operator", ""),
        basic("", PASSWORD),
        { Authorization: "Basic !!" },
        { Authorization: "Basic" },
      ])
        expect((await api.ask("GET", "/ops", { headers: wrong })).status).to.equal(401);
      // A wrong guess takes nothing from whoever is in.
      expect((await api.ask("GET", "/ops/live.json", { headers: RIGHT })).status).to.equal(200);
    });

    it("slows an address down that guesses, all at once or one by one, and still knows who is in", async () => {
      const api = await start();
      expect((await api.ask("GET", "/ops", { headers: RIGHT })).status).to.equal(200);
      const guesses = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          api.ask("GET", "/ops", { headers: basic("operator", `guess ${i}`) }),
        ),
      );
      const refused = guesses.filter(({ status }) => status === 429);
      expect(guesses.filter(({ status }) => status === 401)).to.have.length(10);
      expect(refused).to.have.length(20);
      expect(Number(refused[0]?.headers.get("retry-after"))).to.be.within(1, 60);
      expect((await api.ask("GET", "/ops", { headers: RIGHT })).status).to.equal(200);
    });

    it("takes the header of a proxy only where it is configured", async () => {
      const header = { "X-Forwarded-User": "ada" };
      const without = await start();
      expect((await without.ask("GET", "/ops", { headers: header })).status).to.equal(401);
      const api = await start({ trustedHeader: "X-Forwarded-User", passwordHash: undefined });
      expect((await api.ask("GET", "/ops", { headers: header })).status).to.equal(200);
      expect((await api.ask("GET", "/ops", { headers: { "X-Forwarded-User": " " } })).status).to.equal(401);
      expect((await api.ask("GET", "/ops")).headers.get("www-authenticate")).to.equal(null);
    });

    it("without one, in development, lets this machine look, but not by another name", async () => {
      const api = await start({ isOpen: true, passwordHash: undefined });
      expect((await api.ask("GET", "/ops")).status).to.equal(200);
      // fetch does not let a caller name another host.
      const { request } = await import("node:http");
      const status = await new Promise((resolve, reject) => {
        request(`${api.url}/ops`, { headers: { Host: "rebound.example" } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
          .on("error", reject)
          .end();
      });
      expect(status).to.equal(403);
      for (const name of ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"]) {
        const answer = await api.ask("GET", "/ops", { headers: { [name]: "127.0.0.1" } });
        expect(answer.status, `${name}: a proxy on this machine lets others in`).to.equal(403);
      }
    });

    it("where there is none, outside of development, nobody gets in, and is told what to set", async () => {
      const api = await start({ passwordHash: undefined });
      const answer = await api.ask("GET", "/ops", { headers: RIGHT });
      expect([answer.status, answer.body.detail]).to.deep.equal([
        403,
        "/ops has no login here. Set OPS_PASSWORD_HASH.",
      ]);
    });

    it("is needed in production, and where others can reach the api: else it does not start", () => {
      const access = (env: Record<string, string>) => readOpsAccess(readConfig({ ...REQUIRED, ...env }));
      const dev = { NODE_ENV: "development" };
      expect(access(dev)).to.deep.include({ isOpen: true, mayAct: false });
      expect(access({ ...dev, OPS_MAY_ACT: "true" })).to.deep.include({ isOpen: true, mayAct: false });
      for (const env of [{}, { NODE_ENV: "staging" }]) expect(access(env).isOpen).to.equal(false);
      for (const env of [{ NODE_ENV: "production" }, { HOST: "0.0.0.0" }, { HOST: "::" }]) {
        expect(() => access(env)).to.throw(
          ConfigError,
          /^OPS_PASSWORD_HASH: got nothing, wants .*hash-password/,
        );
        expect(access({ ...env, OPS_PASSWORD_HASH: passwordHash }).isOpen).to.equal(false);
        expect(access({ ...env, OPS_TRUSTED_HEADER: "X-User" }).isOpen).to.equal(false);
      }
    });
  });

  describe("page", () => {
    it("has every figure without a script, runs no inline script, and loads nothing from elsewhere", async () => {
      const { account } = await watchAccount(database.dataSource);
      const api = await start();
      const page = await api.ask("GET", "/ops", { headers: RIGHT });
      expect(page.headers.get("content-security-policy")).to.match(
        /^default-src 'none'; script-src 'self'; style-src 'self';/,
      );
      expect(page.body).to.include("Needs attention: 1 problem");
      expect(page.body).to.include(`Nobody leads the ingest of ${account}`);
      for (const figure of [
        "Credits per minute",
        "Sessions paid per minute",
        "Ledger close to settled",
        "Oldest unsettled credit",
        "Behind Horizon",
        "Consumers alive",
        "Lock servers",
        "Outbox and webhooks",
        "Open charges",
        "Open exceptions",
        "Last recovery</dt><dd>not yet run",
        "Last audit</dt><dd>not yet run",
      ])
        expect(page.body).to.include(figure);
      expect(page.body).not.to.match(/<script>|<style|\sstyle=|\son\w+=|https?:/);
      for (const [, path = ""] of page.body.matchAll(/(?:src|href)="(\/ops\/assets\/[^"]+)"/g)) {
        const asset = await api.ask("GET", path, { headers: RIGHT });
        expect([path, asset.status]).to.deep.equal([path, 200]);
      }
    });

    it("shows charges and exceptions in red from the configured limits on, and not before", () => {
      const charges = { ...CHARGES, unknown: 1, oldest_unknown_seconds: 1_000 };
      const exceptions = openExceptions({ late: [73, 1_000], no_memo: [1, 2] });
      const isRed = (title: string, limits: Partial<StatusLimits>) => {
        const status = { ...WELL, charges, exceptions, limits: { ...LIMITS, ...limits } };
        const tiles = renderTiles({ healthy: true, problems: [], ...status }).text;
        return /<strong class="(\w+)">/.exec(tiles.slice(tiles.indexOf(title)))?.[1] === "bad";
      };
      expect(isRed("Open charges", { charge_unknown_seconds: 999 })).to.equal(true);
      expect(isRed("Open charges", { charge_unknown_seconds: 1_000 })).to.equal(false);
      expect(isRed("Open exceptions", { exception_open_seconds: 999 })).to.equal(true);
      expect(isRed("Open exceptions", { exception_open_seconds: 1_000 })).to.equal(false);
      const all = renderTiles({ healthy: true, problems: [], ...WELL, exceptions }).text;
      expect(all).to.include("73 late, 1 no memo; the oldest for 16 min; 1 refund owed: 12.5000000 XLM");
    });

    it("shows whatever is written somewhere as text, never as markup", async () => {
      const { account } = await watchAccount(database.dataSource);
      await database.dataSource.query(
        "UPDATE stream_cursors SET halted_because = $2, halted_at = now() WHERE account = $1",
        [account, `<img src=x onerror="alert(1)">`],
      );
      const api = await start();
      const page = await api.ask("GET", "/ops", { headers: RIGHT });
      expect(page.body).not.to.include("<img");
      expect(page.body).to.include("&#60;img");
    });

    it("stays fresh by JSON that holds the same markup", async () => {
      const api = await start();
      const live = await api.ask("GET", "/ops/live.json", { headers: RIGHT });
      expect(live.body).to.deep.include({ healthy: true });
      expect(live.body.state).to.include("All is well");
      expect(live.body.sample).to.deep.include({ backlog: 0, credits_per_minute: 0 });
      expect((await api.ask("GET", "/ops", { headers: RIGHT })).body).to.include(live.body.state);
    });
  });

  describe("queues", () => {
    const failed = async () => {
      const queue = new Queue(WEBHOOK_QUEUE, { connection: redis, prefix: PREFIX });
      const job = await queue.add("deliver", { eventId: "e" });
      await queue.close();
      return job.id;
    };

    it("are all shown, with what is in them", async () => {
      await failed();
      const api = await start();
      const page = await api.ask("GET", "/ops/queues/", { headers: RIGHT });
      expect(page.status).to.equal(200);
      expect(page.body).to.include("paidonce queues");
      expect(page.body, "loads nothing from elsewhere").not.to.match(/(?:src|href)="https?:/);
      const { body } = await api.ask("GET", "/ops/queues/api/queues", { headers: RIGHT });
      const queues = body.queues as { name: string; readOnlyMode: boolean; counts: { waiting: number } }[];
      expect(queues.map(({ name }) => name).sort()).to.deep.equal(["charges", "scheduled", "webhooks"]);
      expect(queues.every(({ readOnlyMode }) => readOnlyMode)).to.equal(true);
      expect(queues.find(({ name }) => name === "webhooks")?.counts.waiting).to.equal(1);
    });

    it("can be looked at and not changed, unless the login may act", async () => {
      const id = await failed();
      const clean = `/ops/queues/api/queues/${WEBHOOK_QUEUE}/${id}/clean`;
      const looking = await start();
      const refused = await looking.ask("PUT", clean, { headers: RIGHT });
      expect([refused.status, refused.body.type]).to.deep.equal([
        403,
        "https://paidonce.dev/problems/forbidden",
      ]);
      const acting = await start({ mayAct: true });
      expect((await acting.ask("PUT", clean)).status).to.equal(401);
      for (const foreign of [
        { "Sec-Fetch-Site": "cross-site" },
        { "Sec-Fetch-Site": "same-site" },
        { Origin: "https://evil.example" },
        { Origin: "null" },
      ]) {
        const forged = await acting.ask("PUT", clean, { headers: { ...RIGHT, ...foreign } });
        expect(forged.status).to.equal(403);
      }
      expect((await acting.ask("PUT", clean, { headers: RIGHT })).status).to.be.oneOf([200, 204]);
      const queue = new Queue(WEBHOOK_QUEUE, { connection: redis, prefix: PREFIX });
      expect(await queue.getJob(String(id))).to.equal(undefined);
      await queue.close();
    });
  });

  describe("metrics", () => {
    it("hold the status, and requests by route template and status, never by path", async () => {
      const { account } = await watchAccount(database.dataSource);
      const api = await start();
      await api.ask("GET", "/v1/checkout/sessions/01890a5d-ac96-774b-bcce-b302099a8057");
      await api.ask("GET", "/no/such/page");
      await api.ask("BREW", "/healthz").catch(() => undefined);
      const { body, headers } = await api.ask("GET", "/metrics");
      expect(headers.get("content-type")).to.match(/^text\/plain/);
      expect(body).to.include("paidonce_healthy 0\n");
      expect(body).to.include(`paidonce_ingest_led{account="${account}"} 0\n`);
      expect(body).to.match(/paidonce_credits_per_minute\{window="5m"\} 0\n/);
      expect(body).to.include('paidonce_exceptions_open{reason="late"} 0\n');
      expect(body).to.include('paidonce_accounts_unpayable{obstacle="not_authorized"} 0\n');
      expect(body).to.include('paidonce_exceptions_oldest_seconds{reason="late"} 0\n');
      expect(body).to.include('paidonce_limit{limit="exception_open_seconds"} 259200\n');
      expect(body).to.include("paidonce_nodejs_eventloop_lag_seconds");
      // Not known: no sample, rather than a nought.
      expect(body).not.to.match(/^paidonce_horizon_newest_ledger /m);
      expect(body).to.match(/paidonce_http_request_seconds_count\{method="GET",route="none",status="404"\}/);
      expect(body).not.to.match(/01890a5d|no\/such/);
    });

    it("count nothing that a stranger sends as a fault of ours, and an absent database as what was answered", async () => {
      const api = await start();
      const id = "01a1fde5-2471-7749-bad1-d5169feeeec6";
      for (const [method, path] of [
        ["PROPFIND", "/v1/charges"],
        ["LOCK", "/nowhere"],
        ["REPORT", "/v1/status"],
      ] as const)
        expect((await fetch(`${api.url}${path}`, { method })).status).to.be.oneOf([404, 405]);
      const packed = await fetch(`${api.url}/v1/checkout/sessions/${id}/transaction`, {
        method: "POST",
        body: "nonsense",
        headers: { "Content-Type": "application/json", "Content-Encoding": "br" },
      });
      expect(packed.status).to.equal(400);
      const figures = async () => (await api.ask("GET", "/metrics")).body;
      expect(await figures()).not.to.match(/paidonce_http_request_seconds_count\{[^}]*status="5/);
      await database.dataSource.destroy();
      expect((await api.ask("GET", `/v1/checkout/sessions/${id}/public`)).status).to.equal(503);
      const counted = (await figures()).match(
        /paidonce_http_request_seconds_count\{[^}]*status="5\d\d"[^}]*\}/g,
      );
      expect(counted).to.deep.equal([
        'paidonce_http_request_seconds_count{method="GET",route="/v1/checkout/sessions/:id/public",status="503"}',
      ]);
      await database.dataSource.initialize();
    });
  });
});
