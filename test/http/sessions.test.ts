import { expect } from "chai";
import type { DataSource } from "typeorm";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { type AskOptions, aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { creditOf, receivingAccount } from "../support/merchants.js";

describe("checkout sessions through the API", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let dataSource: DataSource;
  let key: string;
  let merchantId: string;
  let account: string;

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
    ({ key, merchantId } = await aMerchant(api));
    account = await receivingAccount(dataSource, merchantId);
  });

  const create = (body: object = {}, options: AskOptions = {}) =>
    api.ask("POST", "/v1/checkout/sessions", {
      key,
      body: { amount: "10", asset: "native", ...body },
      ...options,
    });
  const created = async (body: object = {}): Promise<Json> => {
    const answer = await create(body);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
    return answer.body;
  };
  const get = async (id: string) => (await api.ask("GET", `/v1/checkout/sessions/${id}`, { key })).body;

  it("are made of an amount and an asset alone, the rest chosen so that it can be paid", async () => {
    const session = await created();
    expect(session).to.deep.include({
      status: "pending",
      anomaly: null,
      livemode: false,
      amount: "10.0000000",
      asset: "native",
      account,
      muxed_id: null,
      muxed_address: null,
      grace_seconds: 0,
      paid_at: null,
      url: `https://pay.example.com/pay/${session.id}`,
      merchant_id: merchantId,
      success_url: null,
      cancel_url: null,
      metadata: {},
    });
    expect(session.memo.type).to.equal("id");
    expect(Number.isSafeInteger(Number(session.memo.value))).to.equal(true);
    const life = Date.parse(session.expires_at) - Date.parse(session.created_at);
    expect(life).to.be.within(29 * 60_000, 31 * 60_000);
    expect(Date.parse(session.watched_until) - Date.parse(session.expires_at)).to.equal(86_400_000);
    // Said once, of the moment it was opened in.
    const { warnings, ...lasting } = session;
    expect(warnings).to.be.an("array");
    expect(await get(session.id)).to.deep.equal(lasting);
  });

  it("take everything that can be asked for, and give it back", async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const asked = {
      amount: "0.0000001",
      account,
      muxed_id: "18446744073709551615",
      expires_at: expiresAt,
      grace_seconds: 60,
      success_url: "https://shop.example.com/thanks?order=7",
      cancel_url: "http://localhost:3000/back",
      metadata: { order: "7", ключ: "значение" },
    };
    const session = await created(asked);
    expect(session).to.deep.include({ ...asked, memo: null, asset: "native" });
    expect(session.muxed_address).to.match(/^M[A-Z2-7]{68}$/);
    expect(session.watched_until).to.equal(
      new Date(Date.parse(expiresAt) + 60_000 + 86_400_000).toISOString(),
    );
    const hash = "ab".repeat(32);
    for (const memo of [
      { type: "text", value: "Bestellung ä" },
      { type: "id", value: "7" },
      { type: "hash", value: hash },
    ]) {
      expect((await created({ memo })).memo).to.deep.equal(memo);
    }
  });

  it("are refused with each field that is wrong named at once", async () => {
    const answer = await create({
      amount: 10,
      asset: "USDC",
      account: "GABC",
      memo: { type: "text", value: "x".repeat(29) },
      muxed_id: "-1",
      grace_seconds: -1,
      success_url: "javascript:alert(1)",
      cancel_url: "https://a b",
      metadata: { order: 7 },
      colour: "red",
    });
    expect(answer.status).to.equal(400);
    expect(answer.body.type).to.equal("https://paidonce.dev/problems/invalid-request");
    expect(answer.body.errors.map((error: Json) => error.field).sort()).to.deep.equal([
      "account",
      "amount",
      "asset",
      "cancel_url",
      "colour",
      "grace_seconds",
      "memo.value",
      "metadata.order",
      "muxed_id",
      "success_url",
    ]);
  });

  const REFUSED: readonly [string, object, string][] = [
    ["no amount", { amount: undefined }, "amount"],
    ["nothing", { amount: "0" }, "amount"],
    ["less than nothing", { amount: "-1" }, "amount"],
    ["half a stroop", { amount: "0.00000005" }, "amount"],
    ["more than the network has", { amount: "922337203685.4775808" }, "amount"],
    ["exponents", { amount: "1e3" }, "amount"],
    ["a memo and a muxed id", { memo: { type: "id", value: "1" }, muxed_id: "1" }, "muxed_id"],
    ["an empty text", { memo: { type: "text", value: "" } }, "memo.value"],
    ["a short hash", { memo: { type: "hash", value: "ab" } }, "memo.value"],
    ["an id beyond uint64", { memo: { type: "id", value: "18446744073709551616" } }, "memo.value"],
    ["a NUL in metadata", { metadata: { a: "\0" } }, "metadata.a"],
    ["half a character", { metadata: { a: "\ud800" } }, "metadata.a"],
    ["51 keys", { metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [i, ""])) }, "metadata"],
    ["more than 8 KiB", { metadata: { a: "ä".repeat(4096) } }, "metadata"],
    ["two expiries", { expires_in_seconds: 60, expires_at: "2030-01-01T00:00:00Z" }, "expires_at"],
    ["an expiry that is over", { expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
    ["a life of a second", { expires_in_seconds: 1 }, "expires_in_seconds"],
    ["a life of a year", { expires_in_seconds: 31_536_000 }, "expires_in_seconds"],
    ["31 days of grace", { grace_seconds: 31 * 86_400 }, "grace_seconds"],
  ];
  for (const [what, body, field] of REFUSED) {
    it(`refuse ${what}, and say so of ${field}`, async () => {
      const answer = await create(body);
      expect([answer.status, answer.body.errors.map((error: Json) => error.field)]).to.deep.equal([
        400,
        [field],
      ]);
    });
  }

  it("are refused on accounts that can't be meant: not ours, not for the asset, none, or one of two", async () => {
    const other = await aMerchant(api);
    const foreign = await receivingAccount(dataSource, other.merchantId);
    const detail = async (body: object) => {
      const answer = await create(body);
      return [answer.status, answer.body.type.split("/").at(-1), answer.body.detail];
    };
    expect(await detail({ account: foreign })).to.deep.equal([
      422,
      "session-refused",
      "The receiving account is not registered for this merchant: register it first.",
    ]);
    const usd = `USD:${account}`;
    expect((await detail({ account, asset: usd }))[2]).to.include("not registered for this asset");
    expect((await detail({ asset: usd }))[2]).to.include("No receiving account takes USD");
    await created({ memo: { type: "id", value: "1" } });
    expect((await detail({ memo: { type: "id", value: "1" } }))[2]).to.include("has the same memo");
    await receivingAccount(dataSource, merchantId);
    expect(await detail({})).to.deep.equal([
      400,
      "invalid-request",
      "Not valid: account. Each is explained in errors.",
    ]);
  });

  it("are another merchant's nothing: 404 to read, to cancel, to expire", async () => {
    const session = await created();
    const other = await aMerchant(api);
    for (const [method, path] of [
      ["GET", ""],
      ["POST", "/cancel"],
      ["POST", "/expire"],
    ] as const) {
      const answer = await api.ask(method, `/v1/checkout/sessions/${session.id}${path}`, { key: other.key });
      expect([answer.status, answer.body.type]).to.deep.equal([
        404,
        "https://paidonce.dev/problems/not-found",
      ]);
    }
    expect((await get(session.id)).status).to.equal("pending");
    const list = await api.ask("GET", "/v1/checkout/sessions", { key: other.key });
    expect(list.body.data).to.deep.equal([]);
  });

  it("show a customer what it takes to pay, and nothing that is the merchant's own", async () => {
    const session = await created({
      metadata: { secret: "hush" },
      success_url: "https://shop.example.com/thanks?token=hush",
      cancel_url: "https://shop.example.com/",
    });
    const seen = await api.ask("GET", `/v1/checkout/sessions/${session.id}/public`);
    const { metadata: _, merchant_id: __, warnings: ___, ...rest } = session;
    expect(seen.body).to.deep.equal({ ...rest, success_url: null });
    expect(JSON.stringify(seen.body)).not.to.match(new RegExp(`hush|${merchantId}`));

    await settle(dataSource, [creditOf(session)]);
    const paid = await api.ask("GET", `/v1/checkout/sessions/${session.id}/public`);
    expect(paid.body).to.deep.include({
      status: "paid",
      success_url: "https://shop.example.com/thanks?token=hush",
    });
  });

  describe("their second axis, anomaly", () => {
    const later = (session: Json) => new Date(Date.parse(session.expires_at) + 60_000);

    it("tells overpaid, underpaid, late and duplicate, whichever asks for a person first", async () => {
      const [over, short, late, twice, all] = await Promise.all([
        created(),
        created(),
        created(),
        created(),
        created(),
      ]);
      const five = toStroops(50_000_000n);
      await settle(dataSource, [
        creditOf(over, { amount: toStroops(100_000_001n) }),
        creditOf(short, { amount: five }),
        creditOf(late, { closedAt: later(late) }),
        creditOf(twice),
        creditOf(twice),
        creditOf(all, { amount: five }),
        creditOf(all, { closedAt: later(all) }),
        creditOf(all, { amount: toStroops(100_000_001n) }),
      ]);
      const axes = async (session: Json) => {
        const { status, anomaly } = await get(session.id);
        return [status, anomaly];
      };
      expect(await axes(over)).to.deep.equal(["paid", "overpaid"]);
      expect(await axes(short)).to.deep.equal(["pending", "underpaid"]);
      expect(await axes(late)).to.deep.equal(["expired", "late"]);
      expect(await axes(twice)).to.deep.equal(["paid", "duplicate"]);
      expect(await axes(all)).to.deep.equal(["paid", "late"]);
    });
  });

  it("are listed newest first, in pages that neither repeat nor skip while others are made", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.unshift((await created()).id);
    const seen: string[] = [];
    let cursor = "";
    for (;;) {
      const page = await api.ask("GET", `/v1/checkout/sessions?limit=3${cursor}`, { key });
      seen.push(...page.body.data.map((session: Json) => session.id));
      expect(page.body.has_more).to.equal(page.body.next_cursor !== null);
      if (page.body.next_cursor === null) break;
      cursor = `&cursor=${page.body.next_cursor}`;
      await Promise.all([created(), created()]);
    }
    expect(seen).to.deep.equal(ids);
  });

  it("are found by status, time and metadata", async () => {
    const [first, second, third] = [
      await created({ metadata: { order: "1", shop: "a" } }),
      await created({ metadata: { order: "2", shop: "a" } }),
      await created({ metadata: { order: "3", "a[b]": "x" } }),
    ];
    await api.ask("POST", `/v1/checkout/sessions/${second.id}/cancel`, { key });
    const find = async (query: string) => {
      const answer = await api.ask("GET", `/v1/checkout/sessions?${query}`, { key });
      expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
      return answer.body.data.map((session: Json) => session.metadata.order);
    };
    expect(await find("status=cancelled")).to.deep.equal(["2"]);
    expect(await find("metadata[shop]=a")).to.deep.equal(["2", "1"]);
    expect(await find("metadata[shop]=a&metadata[order]=1")).to.deep.equal(["1"]);
    expect(await find("metadata[shop]=a&status=pending")).to.deep.equal(["1"]);
    expect(await find(`created_after=${first.created_at}&created_before=${third.created_at}`)).to.deep.equal([
      "2",
    ]);
  });

  it("refuse a list with a query that means nothing", async () => {
    for (const query of [
      "limit=0",
      "limit=101",
      "limit=x",
      "limit=1&limit=2",
      "cursor=x",
      "status=lost",
      "created_after=yesterday",
      "colour=red",
      "metadata=x",
    ]) {
      const answer = await api.ask("GET", `/v1/checkout/sessions?${query}`, { key });
      expect([answer.status, answer.body.errors?.length], query).to.deep.equal([400, 1]);
    }
  });

  for (const [verb, status] of [
    ["cancel", "cancelled"],
    ["expire", "expired"],
  ] as const) {
    const end = (id: string) => api.ask("POST", `/v1/checkout/sessions/${id}/${verb}`, { key });

    it(`${verb}: once, with one event, whoever asks how often`, async () => {
      const { id } = await created({ grace_seconds: 600 });
      const answers = await Promise.all(Array.from({ length: 5 }, () => end(id)));
      for (const answer of answers) expect([answer.status, answer.body.status]).to.deep.equal([200, status]);
      const events = await dataSource.query("SELECT type, body FROM outbox_events WHERE session_id = $1", [
        id,
      ]);
      expect(events.map((event: Json) => event.type)).to.deep.equal([`session.${status}`]);
      if (verb === "cancel") return;
      const session = await get(id);
      expect(session.grace_seconds).to.equal(0);
      expect(JSON.parse(events[0].body).data.expired_at).to.equal(session.expires_at);
      expect(Date.parse(session.expires_at)).to.be.below(Date.parse(session.created_at) + 60_000);
    });

    it(`${verb}: a session that was paid or ended otherwise is a conflict`, async () => {
      const paid = await created();
      await settle(dataSource, [creditOf(paid)]);
      const other = await created();
      await api.ask("POST", `/v1/checkout/sessions/${other.id}/${verb === "cancel" ? "expire" : "cancel"}`, {
        key,
      });
      for (const { id } of [paid, other]) {
        const answer = await end(id);
        expect([answer.status, answer.body.type]).to.deep.equal([
          409,
          "https://paidonce.dev/problems/conflict",
        ]);
      }
    });

    it(`${verb}: in a race with the payment one of them wins, and the books agree`, async () => {
      const sessions = await Promise.all(Array.from({ length: 8 }, () => created()));
      await Promise.all(
        sessions.flatMap((session) => [end(session.id), settle(dataSource, [creditOf(session)])]),
      );
      for (const session of sessions) {
        const { status: found, anomaly } = await get(session.id);
        // Money sent before the end of an expired session still pays it; for a cancelled one it is late.
        if (verb === "expire") expect([found, anomaly]).to.deep.equal(["paid", null]);
        else expect([`paid null`, "cancelled late"]).to.include(`${found} ${anomaly}`);
      }
    });
  }
});
