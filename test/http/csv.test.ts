import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import Koa from "koa";
import { answerCsv, ROWS_AT_A_TIME } from "../../src/http/credits/exports.js";
import { settle } from "../../src/settlement/settle.js";
import { creditKeyText } from "../../src/stellar/credit.js";
import { textMemo } from "../../src/stellar/memo.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { aSession, creditFor, openSessions } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { receivingAccount } from "../support/merchants.js";

describe("CSV exports", () => {
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

  const merchant = async () => {
    const { key, merchantId } = await aMerchant(api);
    return { key, merchantId, account: await receivingAccount(database.dataSource, merchantId) };
  };
  const lines = async (path: string, key: string): Promise<string[]> => {
    const answer = await api.ask("GET", path, { key });
    expect([answer.status, answer.headers.get("content-type")]).to.deep.equal([
      200,
      "text/csv; charset=utf-8",
    ]);
    expect(answer.headers.get("content-disposition")).to.match(/^attachment; filename="\w+\.csv"$/);
    return answer.body.trimEnd().split("\n");
  };

  it("hold every row once, over many pages, with the list's own filters, and nobody else's", async () => {
    const [owner, other] = [await merchant(), await merchant()];
    const count = ROWS_AT_A_TIME * 2 + 7;
    const sessions = Array.from({ length: count }, (_, i) => aSession(owner, { metadata: { n: `${i}` } }));
    await openSessions(database.dataSource, ...sessions, aSession(other));
    await settle(
      database.dataSource,
      sessions.map((session) => creditFor(session)),
    );
    const [header, ...rows] = await lines("/v1/checkout/sessions.csv", owner.key);
    expect(header).to.match(/^id,status,anomaly,amount,asset,/);
    expect(rows.map((row) => row.split(",")[0])).to.deep.equal(sessions.map(({ id }) => id).reverse());
    expect(await lines("/v1/checkout/sessions.csv?metadata[n]=5", owner.key)).to.have.length(2);
    expect(await lines("/v1/payments.csv", owner.key)).to.have.length(count + 1);
    expect(await lines(`/v1/payments.csv?session_id=${sessions[3]?.id}`, owner.key)).to.have.length(2);
    expect(await lines("/v1/payments.csv", other.key)).to.have.length(1);
  });

  it("run nothing on the desk of whoever opens them: a stranger's memo is text", async () => {
    const owner = await merchant();
    const session = aSession(owner);
    const memos = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a"b,c\nd'];
    const credits = memos.map((memo) => creditFor(session, { memo: textMemo(Buffer.from(memo)) }));
    await settle(database.dataSource, credits);
    const answer = await api.ask("GET", "/v1/exceptions.csv", { key: owner.key });
    for (const memo of memos.slice(0, 5)) expect(answer.body).to.include(`'${memo}`);
    expect(answer.body).not.to.match(/(^|[,\n])[=+\-@]/m);
    expect(answer.body).to.include('"a""b,c\nd"');
    const first = credits[0];
    expect(answer.body).to.include(first === undefined ? "none" : creditKeyText(first));
  });

  it("nor does one that hides its formula behind what spreadsheets trim", async () => {
    const owner = await merchant();
    const session = aSession(owner);
    const memos = [
      " =1+1",
      "\n=1+1",
      " \t\n =1",
      "\u00a0=1",
      "\u200b=1",
      "\ufeff=1",
      "\u3000+1",
      "\u0001@A1",
      "\uff1d1+1",
      "\r",
    ];
    await settle(
      database.dataSource,
      memos.map((memo) => creditFor(session, { memo: textMemo(Buffer.from(memo)) })),
    );
    const { body } = await api.ask("GET", "/v1/exceptions.csv", { key: owner.key });
    for (const memo of memos) expect(body, JSON.stringify(memo)).to.include(`'${memo}`);
  });

  it("begin with a byte order mark, so that spreadsheets read them as the UTF-8 that they are", async () => {
    const { key } = await merchant();
    for (const path of ["/v1/payments.csv", "/v1/exceptions.csv", "/v1/checkout/sessions.csv"]) {
      const answer = await fetch(`${api.url}${path}`, { headers: { Authorization: `Bearer ${key}` } });
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(bytes.subarray(0, 3).toString("hex"), path).to.equal("efbbbf");
      expect(bytes.indexOf("\ufeff", 3), path).to.equal(-1);
    }
  });

  it("are refused like lists: no key, a filter that means nothing", async () => {
    const { key } = await merchant();
    for (const path of ["/v1/payments.csv", "/v1/exceptions.csv", "/v1/checkout/sessions.csv"]) {
      expect((await api.ask("GET", path)).status).to.equal(401);
      expect((await api.ask("GET", `${path}?colour=red`, { key })).status).to.equal(400);
    }
  });

  it("that break off end without an end: nobody takes half for the whole", async () => {
    const app = new Koa();
    app.silent = true;
    app.use((context) =>
      answerCsv<Json>(
        context,
        "broken",
        async (after) => {
          if (after !== null) throw new Error("the database is away");
          return Array.from({ length: ROWS_AT_A_TIME }, (_, i) => ({ i }));
        },
        { i: ({ i }) => i },
      ),
    );
    const server = createServer(app.callback());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const failure = await fetch(`http://127.0.0.1:${port}/`)
        .then((answer) => answer.text())
        .then(
          () => null,
          (error: unknown) => error,
        );
      expect(failure).to.be.instanceOf(TypeError);
    } finally {
      server.close();
    }
  });
});
