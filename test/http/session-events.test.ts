import { expect } from "chai";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { EventStream } from "../support/event-stream.js";
import { creditOf, receivingAccount } from "../support/merchants.js";

describe("a session's changes as server-sent events", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let key: string;
  let session: Json;
  const streams: EventStream[] = [];

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
  });
  after(async () => {
    await redisServer.stop();
    await database.close();
  });
  beforeEach(async () => {
    api = await startApi(database.dataSource, redisServer.url);
    const merchant = await aMerchant(api);
    key = merchant.key;
    await receivingAccount(database.dataSource, merchant.merchantId);
    const body = { amount: "10", asset: "native", metadata: { secret: "hush" } };
    session = (await api.ask("POST", "/v1/checkout/sessions", { key, body })).body;
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await api.stop();
  });

  const open = async (headers: Record<string, string> = {}, id: string = session.id) => {
    const stream = await EventStream.open(`${api.url}/v1/checkout/sessions/${id}/events`, headers);
    streams.push(stream);
    return stream;
  };
  const short = () => creditOf(session, { amount: toStroops(1n) });
  const publicBody = async () => (await api.ask("GET", `/v1/checkout/sessions/${session.id}/public`)).body;

  it("tell the present state at once, then each change, and end when it is paid", async () => {
    const stream = await open();
    expect(stream.response.headers.get("content-type")).to.match(/^text\/event-stream/);
    const first = await stream.next();
    expect([first?.event, first?.data]).to.deep.equal(["session", await publicBody()]);
    expect(stream.raw).to.include("retry: ");
    await settle(database.dataSource, [short()]);
    expect((await stream.next())?.data).to.deep.include({ status: "pending", anomaly: "underpaid" });
    await settle(database.dataSource, [creditOf(session)]);
    const last = await stream.next();
    expect(last?.data).to.deep.include({ status: "paid", anomaly: "underpaid" });
    expect(last?.data).to.deep.equal(await publicBody());
    expect(await stream.next()).to.equal(null);
    expect(stream.raw).not.to.include("hush");
  });

  it("end when it is cancelled, and go on when it has expired: money may still come", async () => {
    const stream = await open();
    await stream.next();
    await api.ask("POST", `/v1/checkout/sessions/${session.id}/expire`, { key });
    expect((await stream.next())?.data).to.deep.include({ status: "expired" });
    await settle(database.dataSource, [creditOf(session, { closedAt: new Date(Date.now() + 60_000) })]);
    expect((await stream.next())?.data).to.deep.include({ status: "expired", anomaly: "late" });

    const body = { amount: "10", asset: "native" };
    const other = (await api.ask("POST", "/v1/checkout/sessions", { key, body })).body;
    const cancelled = await open({}, other.id);
    await cancelled.next();
    await api.ask("POST", `/v1/checkout/sessions/${other.id}/cancel`, { key });
    expect((await cancelled.next())?.data).to.deep.include({ status: "cancelled" });
    expect(await cancelled.next()).to.equal(null);
  });

  it("go on after a broken connection without a repetition, at another replica too", async () => {
    const stream = await open();
    const first = await stream.next();
    stream.close();
    const other = await startApi(database.dataSource, redisServer.url);
    try {
      const again = await EventStream.open(`${other.url}/v1/checkout/sessions/${session.id}/events`, {
        "Last-Event-ID": first?.id ?? "",
      });
      streams.push(again);
      await settle(database.dataSource, [creditOf(session)]);
      const paid = await again.next();
      expect(paid?.data).to.deep.include({ status: "paid" });
      expect(await again.next()).to.equal(null);
      // A browser comes back after the end; 204 tells it to stop.
      const back = await fetch(again.response.url, { headers: { "Last-Event-ID": paid?.id ?? "" } });
      expect(back.status).to.equal(204);
    } finally {
      await other.stop();
    }
  });

  it("tell every page of every session, by one query at a time", async () => {
    const sessions: Json[] = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const body = { amount: "10", asset: "native" };
        return (await api.ask("POST", "/v1/checkout/sessions", { key, body })).body;
      }),
    );
    const pages = await Promise.all([...sessions, ...sessions].map(({ id }) => open({}, id)));
    for (const page of pages) expect((await page.next())?.data.status).to.equal("pending");
    await settle(
      database.dataSource,
      sessions.map((each) => creditOf(each)),
    );
    for (const page of pages) expect((await page.next())?.data.status).to.equal("paid");
  });

  it("are limited per address, and free again once closed", async () => {
    const pages = await Promise.all(Array.from({ length: 20 }, () => open()));
    const refused = await fetch(`${api.url}/v1/checkout/sessions/${session.id}/events`);
    expect([refused.status, ((await refused.json()) as Json).type]).to.deep.equal([
      429,
      "https://paidonce.dev/problems/rate-limited",
    ]);
    for (const page of pages) page.close();
    for (;;) {
      const next = await open();
      if (next.response.status === 200) break;
      next.close();
    }
  });

  it("are of a session that exists; HEAD tells the headers alone", async () => {
    const unknown = await fetch(
      `${api.url}/v1/checkout/sessions/01a1fde5-2471-7749-bad1-d5169feeeec6/events`,
    );
    expect(unknown.status).to.equal(404);
    const head = await fetch(`${api.url}/v1/checkout/sessions/${session.id}/events`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-type")]).to.deep.equal([
      200,
      "text/event-stream; charset=utf-8",
    ]);
  });
});
