import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import Koa from "koa";
import { pino } from "pino";
import { createDataSource } from "../../src/entities/data-source.js";
import { requestId } from "../../src/http/server/observe-requests.js";
import { answerProblems } from "../../src/http/server/problem.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { startApi, type TestApi } from "../support/api.js";
import { watchAccount } from "../support/books.js";
import { connect, createTestDatabase, sharedPostgres, type TestDatabase } from "../support/database.js";

describe("the API", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let apis: TestApi[];

  beforeEach(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    apis = [];
  });
  afterEach(async () => {
    await Promise.all(apis.map((api) => api.stop()));
    await redisServer.stop();
    await database.close();
  });

  const serve = async (dataSource = database.dataSource) => {
    const api = await startApi(dataSource, redisServer.url);
    apis.push(api);
    return api.url;
  };

  it("is alive whatever else is down", async () => {
    const url = await serve(
      createDataSource({ url: "postgres://127.0.0.1:1/none", applicationName: "test" }),
    );
    const answer = await fetch(`${url}/healthz`);
    expect([answer.status, await answer.json()]).to.deep.equal([200, { status: "alive" }]);
  });

  it("is ready with a migrated database and Redis", async () => {
    const answer = await fetch(`${await serve()}/readyz`);
    expect([answer.status, await answer.json()]).to.deep.equal([
      200,
      {
        status: "ready",
        postgres: { reachable: true, migrated: true, writable: true },
        redis: { reachable: true },
      },
    ]);
  });

  it("is not ready, and says why, without Redis, and ready again once it is back", async () => {
    const url = await serve();
    await redisServer.kill();
    const answer = await fetch(`${url}/readyz`);
    expect(answer.status).to.equal(503);
    expect(await answer.json()).to.deep.include({ status: "not ready", redis: { reachable: false } });
    await redisServer.restart();
    while ((await fetch(`${url}/readyz`)).status !== 200);
  });

  it("is not ready on a database that nobody migrated, or without one", async () => {
    const empty = await connect((await sharedPostgres()).url);
    try {
      const answer = await fetch(`${await serve(empty)}/readyz`);
      expect(answer.status).to.equal(503);
      expect(await answer.json()).to.deep.include({
        postgres: { reachable: true, migrated: false, writable: false },
      });
    } finally {
      await empty.destroy();
    }
    const answer = await fetch(`${await serve(empty)}/readyz`);
    expect(answer.status).to.equal(503);
    expect(await answer.json()).to.deep.include({
      postgres: { reachable: false, migrated: false, writable: false },
    });
  });

  it("GET /v1/status tells what is watched and what needs a person", async () => {
    const { account } = await watchAccount(database.dataSource);
    const answer = await fetch(`${await serve()}/v1/status`);
    expect(answer.status).to.equal(200);
    const status = (await answer.json()) as { accounts: { account: string }[] };
    expect(status).to.deep.include({
      healthy: false,
      problems: [`Nobody leads the ingest of ${account}: start \`paidonce ingest\`.`],
      sessions: { pending: 0, processing: 0 },
    });
    expect(status.accounts.map((entry) => entry.account)).to.deep.equal([account]);
  });

  it("answers what it does not know by a problem document with a type that stays", async () => {
    const answer = await fetch(`${await serve()}/v1/nothing?secret=hush`);
    expect(answer.status).to.equal(404);
    expect(answer.headers.get("content-type")).to.match(/^application\/problem\+json/);
    expect(await answer.json()).to.deep.equal({
      type: "https://paidonce.dev/problems/not-found",
      title: "Not found",
      status: 404,
      detail: "There is nothing at GET /v1/nothing.",
      request_id: answer.headers.get("x-request-id"),
    });
  });

  it("answers a wrong method by a problem document too, with the methods that are right", async () => {
    const answer = await fetch(`${await serve()}/v1/status`, { method: "DELETE" });
    expect(answer.status).to.equal(405);
    expect(answer.headers.get("allow")).to.equal("HEAD, GET");
    expect(answer.headers.get("content-type")).to.match(/^application\/problem\+json/);
    expect(await answer.json()).to.include({
      type: "https://paidonce.dev/problems/method-not-allowed",
      status: 405,
    });
  });

  it("an error that nobody foresaw shows nothing of itself, and is in the log", async () => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => lines.push(line) });
    const app = new Koa();
    app.silent = true;
    app.use(requestId(logger));
    app.use(answerProblems(logger));
    app.use((context) => {
      context.body = "half an answer";
      throw Object.assign(new Error("relation hush does not exist"), { status: 418, expose: true });
    });
    const server = createServer(app.callback());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const answer = await fetch(`http://127.0.0.1:${port}/v1/status`, { headers: { Connection: "close" } });
    server.close();
    const text = await answer.text();
    expect(answer.status).to.equal(500);
    expect(JSON.parse(text)).to.include({ type: "https://paidonce.dev/problems/internal", status: 500 });
    expect(text).not.to.match(/hush|at .*\.js|half/);
    expect(lines.join()).to.include("relation hush does not exist");
  });
});
