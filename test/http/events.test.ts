import { expect } from "chai";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { numberEvents } from "../../src/outbox/number-events.js";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { aSession, creditFor, openSessions } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { receivingAccount } from "../support/merchants.js";

describe("events through the API", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let dataSource: DataSource;
  let api: TestApi;
  let key: string;
  let owner: { account: Awaited<ReturnType<typeof receivingAccount>>; merchantId: string };

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    dataSource = database.dataSource;
    api = await startApi(dataSource, redisServer.url);
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });
  beforeEach(async () => {
    const merchant = await aMerchant(api);
    key = merchant.key;
    owner = {
      merchantId: merchant.merchantId,
      account: await receivingAccount(dataSource, merchant.merchantId),
    };
  });

  const pay = async (short = false) => {
    const [session] = await openSessions(dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    await settle(dataSource, [creditFor(session, short ? { amount: toStroops(1n) } : {})]);
    return session;
  };
  const list = async (query = "", as = key) => {
    const answer = await api.ask("GET", `/v1/events?${query}`, { key: as });
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
    return answer.body;
  };

  it("are there as soon as they are committed, in order, their body the webhook's byte for byte", async () => {
    const [first, second] = [await pay(), await pay(true)];
    const { data } = await list();
    expect(data.map((event: Json) => [event.type, event.session_id])).to.deep.equal([
      ["payment.confirmed", first.id],
      ["exception.raised", second.id],
    ]);
    const [stored] = await dataSource.query("SELECT body FROM outbox_events WHERE id = $1", [data[0].id]);
    expect(data[0].body).to.equal(stored.body);
    expect(JSON.parse(data[0].body)).to.deep.equal({
      id: data[0].id,
      type: data[0].type,
      data: data[0].data,
    });
    const one = await api.ask("GET", `/v1/events/${data[0].id}`, { key });
    expect(one.body).to.deep.equal(data[0]);
  });

  it("are read by cursor without a gap or a repetition while consumers write, from the empty page on", async () => {
    const begin = await list();
    expect([begin.data, begin.next_cursor]).to.deep.equal([[], null]);
    const writing = Promise.all(
      Array.from({ length: 4 }, async () => [await pay(), await pay(), await pay()]),
    );
    let isDone = false;
    void writing.finally(() => {
      isDone = true;
    });
    const seen: string[] = [];
    let cursor = "";
    for (;;) {
      const wasDone = isDone;
      const page = await list(`limit=2${cursor}`);
      seen.push(...page.data.map((event: Json) => event.session_id));
      if (page.next_cursor !== null) cursor = `&cursor=${page.next_cursor}`;
      if (wasDone && page.data.length === 0) break;
    }
    const sessions = (await writing).flat().map(({ id }) => id);
    expect([...seen].sort()).to.deep.equal([...sessions].sort());
    const next = await pay();
    expect((await list(cursor.slice(1))).data.map((event: Json) => event.session_id)).to.deep.equal([
      next.id,
    ]);
  });

  it("are seen by everybody who asks right after the commit, however many ask at once", async () => {
    const sessions = await Promise.all(Array.from({ length: 5 }, () => pay()));
    const pages = await Promise.all(Array.from({ length: 40 }, () => list()));
    const orders = new Set(pages.map(({ data }) => data.map((event: Json) => event.session_id).join()));
    expect(orders.size).to.equal(1);
    expect(pages[0].data).to.have.length(sessions.length);
  });

  it("are found by type, by session, and by whether webhooks have brought them", async () => {
    const [paid, short] = [await pay(), await pay(true)];
    const ids = async (query: string) => (await list(query)).data.map((event: Json) => event.session_id);
    expect(await ids("type=exception.raised")).to.deep.equal([short.id]);
    expect(await ids(`session_id=${paid.id}`)).to.deep.equal([paid.id]);
    // Nobody was told of these: there was no endpoint.
    expect(await ids("delivered=false")).to.deep.equal([paid.id, short.id]);

    const [here, there] = [uuidv7(), uuidv7()];
    for (const id of [here, there]) {
      await dataSource.query(
        "INSERT INTO webhook_endpoints (id, merchant_id, url) VALUES ($1, $2, 'https://example.com/')",
        [id, owner.merchantId],
      );
    }
    const later = await pay();
    await numberEvents(dataSource);
    const bring = (to: string) =>
      dataSource.query(
        `UPDATE webhook_deliveries SET state = 'delivered', delivered_at = now() WHERE endpoint_id = $1`,
        [to],
      );
    const isDelivered = async () => [
      await ids(`delivered=true&session_id=${later.id}`),
      await ids(`delivered=false&session_id=${later.id}`),
    ];
    expect(await isDelivered()).to.deep.equal([[], [later.id]]);
    await bring(here);
    expect(await isDelivered(), "one of two endpoints still waits").to.deep.equal([[], [later.id]]);
    await dataSource.query("UPDATE webhook_endpoints SET status = 'paused' WHERE id = $1", [there]);
    expect(await isDelivered(), "a paused one is not active").to.deep.equal([[later.id], []]);
    await dataSource.query("UPDATE webhook_endpoints SET status = 'active' WHERE id = $1", [there]);
    await bring(there);
    expect(await isDelivered()).to.deep.equal([[later.id], []]);
  });

  it("are listed for 30 days", async () => {
    await pay();
    await dataSource.query(
      "UPDATE outbox_events SET created_at = now() - interval '31 days' WHERE merchant_id = $1",
      [owner.merchantId],
    );
    const kept = await pay();
    expect((await list()).data.map((event: Json) => event.session_id)).to.deep.equal([kept.id]);
  });

  it("are another merchant's nothing", async () => {
    await pay();
    const [event] = (await list()).data;
    const other = await aMerchant(api);
    expect((await list("", other.key)).data).to.deep.equal([]);
    expect((await api.ask("GET", `/v1/events/${event.id}`, { key: other.key })).status).to.equal(404);
    expect((await api.ask("GET", "/v1/events?cursor=x", { key })).status).to.equal(400);
  });
});
