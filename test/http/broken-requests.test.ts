import { connect } from "node:net";
import { expect } from "chai";
import { PROBLEMS } from "../../src/http/server/problem.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("src/http/http-server: what is no request that the API knows", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url);
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  /** Sends bytes as they are. @returns all that comes until the connection ends */
  const send = (bytes: string): Promise<string> =>
    new Promise((resolve) => {
      const { hostname, port } = new URL(api.url);
      const socket = connect(Number(port), hostname, () => socket.write(bytes));
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString("utf8");
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(text));
    });

  const BROKEN: readonly [what: string, bytes: string, kind: keyof typeof PROBLEMS][] = [
    [
      "a head that is too long",
      `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(40_000)}\r\n\r\n`,
      "headers-too-large",
    ],
    [
      "a path that is too long",
      `GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      "headers-too-large",
    ],
    ["what is no HTTP", "hello\r\n\r\n", "malformed-request"],
    ["a method that nobody knows", "ZEBRA / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed-request"],
    ["a header that is none", "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "malformed-request"],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "malformed-request",
    ],
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "malformed-request",
    ],
    [
      "a chunk without a size",
      "POST /v1/charges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "malformed-request",
    ],
    [
      "an expectation that nobody meets",
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 0\r\n\r\n",
      "expectation-failed",
    ],
    ["a request to be a proxy", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", "method-not-allowed"],
  ];
  for (const [what, bytes, kind] of BROKEN) {
    it(`${what} is answered by a problem document, and the connection ends`, async () => {
      const text = await send(bytes);
      const [head = "", body = ""] = text.split("\r\n\r\n");
      expect(head).to.match(new RegExp(`^HTTP/1\\.1 ${PROBLEMS[kind].status} `));
      expect(head).to.match(/\r\nConnection: close/i);
      expect(head).to.match(/\r\nContent-Type: application\/problem\+json/i);
      const document = JSON.parse(body);
      expect(document).to.include({
        type: `https://paidonce.dev/problems/${kind}`,
        status: PROBLEMS[kind].status,
      });
      expect(head).to.include(document.request_id);
    });
  }

  it("the next connection is served as if nothing had been", async () => {
    expect((await api.ask("GET", "/healthz")).status).to.equal(200);
  });

  for (const method of ["TRACE", "PROPFIND", "PUT", "LOCK", "QUERY", "M-SEARCH"]) {
    it(`${method} is answered by 405 with the methods that a path has, and by 404 where there is none`, async () => {
      const status = async (path: string) => {
        const text = await send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        return [/^HTTP\/1\.1 (\d+)/.exec(text)?.[1], /\r\nAllow: ([^\r]*)/i.exec(text)?.[1] ?? null];
      };
      expect(await status("/v1/charges")).to.deep.equal(["405", "POST, HEAD, GET"]);
      expect(await status("/healthz")).to.deep.equal(["405", "HEAD, GET"]);
      expect(await status("/nowhere")).to.deep.equal(["404", null]);
    });
  }

  it("OPTIONS says the methods of a path", async () => {
    const answer = await api.ask("OPTIONS", "/v1/charges");
    expect([answer.status, answer.headers.get("allow")]).to.deep.equal([204, "POST, HEAD, GET"]);
  });

  it("nothing that is somebody's own is kept on the way, refused or not, and no other page reads the status", async () => {
    for (const { method, path } of api.routes) {
      const to = path.replace(/:\w+/g, "01a1fde5-2471-7749-bad1-d5169feeeec6");
      const { headers } = await api.ask(method, to, { ...(method === "GET" ? {} : { body: {} }) });
      expect(headers.get("cache-control"), `${method} ${path}`).to.equal("no-store");
    }
    for (const path of ["/v1/status", "/readyz", "/healthz"]) {
      const { headers } = await api.ask("GET", path, { headers: { Origin: "https://x.example" } });
      expect(headers.get("cache-control"), path).to.equal("no-store");
      expect(headers.get("access-control-allow-origin"), path).to.equal(null);
    }
  });
});
