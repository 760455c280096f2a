import { expect } from "chai";
import type { DataSource } from "typeorm";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { type AccountId, type Credit, creditKeyText } from "../../src/stellar/credit.js";
import { idMemo, textMemo } from "../../src/stellar/memo.js";
import { formatStroops, toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { anUnreadable, findContradictions, readBooks } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { creditOf, receivingAccount } from "../support/merchants.js";
import { append, drained, plainRedis, startConsumer } from "../support/stream.js";

describe("payments, exceptions and verdicts through the API", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let dataSource: DataSource;
  let key: string;
  let merchantId: string;
  let account: AccountId;

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

  const session = async (body: object = {}): Promise<Json> =>
    (
      await api.ask("POST", "/v1/checkout/sessions", {
        key,
        body: { amount: "10", asset: "native", ...body },
      })
    ).body;
  const get = async (path: string, as = key) => api.ask("GET", path, { key: as });
  const keysOf = async (path: string) => {
    const answer = await get(path);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
    return answer.body.data.map((each: Json) => each.key);
  };
  const decide = (credit: Credit, verdict: string, note = "so it is", as = key) =>
    api.ask("POST", `/v1/exceptions/${creditKeyText(credit)}/verdict`, { key: as, body: { verdict, note } });
  const half = toStroops(50_000_000n);
  const late = (of: Json, overrides: Partial<Credit> = {}) =>
    creditOf(of, { closedAt: new Date(Date.parse(of.expires_at) + 60_000), ...overrides });
  const raised = async (...credits: Credit[]) => {
    await settle(dataSource, credits);
    return credits;
  };
  const balanced = async () => expect(findContradictions(await readBooks(dataSource))).to.deep.equal([]);
  const eventsOf = async (id: string) =>
    (
      await dataSource.query("SELECT type FROM outbox_events WHERE session_id = $1 ORDER BY written", [id])
    ).map(({ type }: Json) => type);

  it("show a payment as the network made it, with what came beyond the amount", async () => {
    const paid = await session();
    const credit = creditOf(paid, { amount: toStroops(100_000_001n) });
    await raised(credit);
    const answer = await get(`/v1/payments/${creditKeyText(credit)}`);
    const { settled_at: settledAt, ...rest } = answer.body;
    expect(rest).to.deep.equal({
      key: creditKeyText(credit),
      session_id: paid.id,
      charge_id: null,
      account,
      from: credit.from,
      transaction_hash: credit.transactionHash,
      asset: "native",
      amount: "10.0000001",
      surplus: "0.0000001",
      memo: paid.memo,
      muxed_id: null,
      closed_at: credit.closedAt.toISOString(),
      verdict: null,
    });
    expect(Date.parse(settledAt)).to.be.above(0);
    expect((await get("/v1/payments")).body.data).to.deep.equal([answer.body]);
    expect((await get(`/v1/checkout/sessions/${paid.id}/credits`)).body).to.deep.equal({
      payments: [answer.body],
      exceptions: [],
    });
  });

  it("list each credit of a session, and every exception with what a person needs to decide", async () => {
    const one = await session();
    const [short, good, twice, nobody, unread] = [
      creditOf(one, { amount: half }),
      creditOf(one),
      creditOf(one),
      creditOf(one, { memo: textMemo(Buffer.from([0xff, 0x61])) }),
      anUnreadable(account),
    ];
    await settle(dataSource, [short, good, twice, nobody, unread]);
    const credits = (await get(`/v1/checkout/sessions/${one.id}/credits`)).body;
    expect(credits.payments.map((each: Json) => each.key)).to.deep.equal([creditKeyText(good)]);
    expect(credits.exceptions.map((each: Json) => [each.key, each.reason])).to.deep.equal([
      [creditKeyText(twice), "duplicate"],
      [creditKeyText(short), "underpaid"],
    ]);
    const inbox = (await get("/v1/exceptions?open=true")).body.data;
    expect(inbox.map((each: Json) => each.reason)).to.deep.equal([
      "unreadable",
      "unmatched",
      "duplicate",
      "underpaid",
    ]);
    expect(inbox[0]).to.deep.include({ amount: null, asset: null, closed_at: null, session_id: null });
    expect(inbox[1].memo).to.deep.equal({ type: "text", value: "\ufffda", base64: "/2E=" });
    expect(inbox[3]).to.deep.include({
      amount: "5.0000000",
      open: true,
      verdict: null,
      detail: "expected 10.0000000, got 5.0000000",
    });
    expect((await get(`/v1/exceptions/${inbox[3].key}`)).body).to.deep.equal(inbox[3]);
  });

  it("find credits by session, transaction, sender, account, asset, reason and time", async () => {
    const second = await receivingAccount(dataSource, merchantId);
    const usd = parseAsset(`USD:${account}`);
    const [a, b] = [await session({ account }), await session({ account: second })];
    const at = (ms: number) => new Date(Date.parse(a.created_at) + ms);
    const [paidA, paidB, wrong, unmatched] = await raised(
      creditOf(a, { closedAt: at(1000), from: second }),
      creditOf(b, { closedAt: at(2000) }),
      creditOf(await session({ account }), { asset: usd, closedAt: at(3000) }),
      creditOf(a, { memo: idMemo("99"), closedAt: at(4000), from: second }),
    );
    if (!paidA || !paidB || !wrong || !unmatched) throw new Error("no credits");
    const [keyA, keyB, keyWrong, keyUnmatched] = [paidA, paidB, wrong, unmatched].map(creditKeyText);
    expect(await keysOf("/v1/payments")).to.deep.equal([keyB, keyA]);
    expect(await keysOf(`/v1/payments?session_id=${a.id}`)).to.deep.equal([keyA]);
    expect(
      await keysOf(`/v1/payments?transaction_hash=${paidB.transactionHash.toUpperCase()}`),
    ).to.deep.equal([keyB]);
    expect(await keysOf(`/v1/payments?from=${second}`)).to.deep.equal([keyA]);
    expect(await keysOf(`/v1/payments?account=${second}`)).to.deep.equal([keyB]);
    const range = `closed_after=${at(1000).toISOString()}&closed_before=${at(4000).toISOString()}`;
    expect(await keysOf(`/v1/payments?${range}`)).to.deep.equal([keyB]);
    expect(await keysOf(`/v1/exceptions?${range}`)).to.deep.equal([keyWrong]);
    expect(await keysOf(`/v1/exceptions?asset=${usd}`)).to.deep.equal([keyWrong]);
    expect(await keysOf("/v1/exceptions?reason=unmatched")).to.deep.equal([keyUnmatched]);
    expect(await keysOf(`/v1/exceptions?from=${second}&account=${account}`)).to.deep.equal([keyUnmatched]);
    expect(await keysOf("/v1/exceptions?open=false")).to.deep.equal([]);
  });

  for (const list of ["payments", "exceptions"] as const) {
    it(`page through ${list} of two accounts while others come, without repetition or gap`, async () => {
      const second = await receivingAccount(dataSource, merchantId);
      const come = async () => {
        const one = await session({ account: Math.random() < 0.5 ? account : second });
        const [credit] = await raised(creditOf(one, list === "payments" ? {} : { amount: half }));
        return creditKeyText(credit as Credit);
      };
      const keys: string[] = [];
      for (let i = 0; i < 7; i++) keys.unshift(await come());
      const seen: string[] = [];
      let cursor = "";
      for (;;) {
        const { body } = await get(`/v1/${list}?limit=2${cursor}`);
        seen.push(...body.data.map((each: Json) => each.key));
        if (body.next_cursor === null) break;
        cursor = `&cursor=${body.next_cursor}`;
        await come();
      }
      expect(seen).to.deep.equal(keys);
    });
  }

  it("show another merchant nothing: 404 and empty lists", async () => {
    const one = await session();
    const [paid, short] = await raised(creditOf(one), creditOf(await session(), { amount: half }));
    const other = await aMerchant(api);
    for (const path of [
      `/v1/payments/${creditKeyText(paid as Credit)}`,
      `/v1/exceptions/${creditKeyText(short as Credit)}`,
      `/v1/checkout/sessions/${one.id}/credits`,
    ]) {
      expect([path, (await get(path, other.key)).status]).to.deep.equal([path, 404]);
    }
    for (const verdict of ["accept", "refund", "dismiss"]) {
      expect((await decide(short as Credit, verdict, "mine", other.key)).status).to.equal(404);
    }
    for (const list of ["payments", "exceptions"]) {
      const search = `/v1/${list}?session_id=${one.id}`;
      expect((await get(`/v1/${list}`, other.key)).body.data).to.deep.equal([]);
      expect((await get(search, other.key)).body.data).to.deep.equal([]);
    }
  });

  describe("accept", () => {
    it("makes a late credit the session's payment, and keeps what it was", async () => {
      const one = await session();
      await api.ask("POST", `/v1/checkout/sessions/${one.id}/cancel`, { key });
      const credit = creditOf(one, { amount: toStroops(100_000_007n) });
      await raised(credit);
      const before = (await get(`/v1/exceptions/${creditKeyText(credit)}`)).body;
      const answer = await decide(credit, "accept", "the customer was on the train");
      expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
      expect(answer.body.verdict).to.deep.include({
        verdict: "accept",
        note: "the customer was on the train",
        decided_by: key.slice(0, 16),
      });
      expect({ ...answer.body, open: true, verdict: null }).to.deep.equal(before);
      const after = (await get(`/v1/checkout/sessions/${one.id}`)).body;
      expect(after).to.deep.include({
        status: "paid",
        anomaly: "overpaid",
        paid_at: credit.closedAt.toISOString(),
      });
      const payment = (await get(`/v1/payments/${creditKeyText(credit)}`)).body;
      expect(payment).to.deep.include({ surplus: "0.0000007", verdict: answer.body.verdict });
      expect(await eventsOf(one.id)).to.deep.equal([
        "session.cancelled",
        "exception.raised",
        "exception.accepted",
        "payment.confirmed",
      ]);
      expect(await keysOf("/v1/exceptions?open=true")).to.deep.equal([]);
      expect(await keysOf("/v1/exceptions?open=false")).to.deep.equal([creditKeyText(credit)]);
      await balanced();
    });

    it("makes a short credit the payment, without a surplus", async () => {
      const one = await session();
      const credit = creditOf(one, { amount: half });
      await raised(credit);
      expect((await decide(credit, "accept")).status).to.equal(200);
      expect((await get(`/v1/payments/${creditKeyText(credit)}`)).body.surplus).to.equal("0.0000000");
      expect((await get(`/v1/checkout/sessions/${one.id}`)).body).to.deep.include({
        status: "paid",
        anomaly: null,
      });
      await balanced();
    });

    it("G2: is refused once the session is paid, and for money that can't settle anything", async () => {
      const one = await session();
      const usd = parseAsset(`USD:${account}`);
      const credits = await raised(
        creditOf(one, { amount: half }),
        creditOf(one, { asset: usd }),
        creditOf(one),
        creditOf(one),
        creditOf(one, { memo: null }),
      );
      const [short, wrong, , twice, nobody] = credits as [Credit, Credit, Credit, Credit, Credit];
      const details = [];
      for (const credit of [short, wrong, twice, nobody]) {
        const answer = await decide(credit, "accept");
        expect([answer.status, answer.body.type]).to.deep.equal([
          422,
          "https://paidonce.dev/problems/verdict-refused",
        ]);
        details.push(answer.body.detail);
      }
      expect(details[0]).to.include("paid by another credit");
      expect(details[1]).to.include("this is wrong_asset");
      await balanced();
    });

    it("G2: races with a good credit of the same session: one payment, and it is said which", async () => {
      for (let round = 0; round < 12; round++) {
        const one = await session();
        const short = creditOf(one, { amount: half });
        await raised(short);
        const [answer] = await Promise.all([
          decide(short, "accept"),
          settle(dataSource, [creditOf(one)]),
          settle(dataSource, [creditOf(one, { amount: half })]),
        ]);
        expect([200, 422]).to.include(answer.status);
        const credits = (await get(`/v1/checkout/sessions/${one.id}/credits`)).body;
        expect(credits.payments).to.have.length(1);
        const isAccepted = credits.payments[0].key === creditKeyText(short);
        expect(answer.status).to.equal(isAccepted ? 200 : 422);
        const events = await eventsOf(one.id);
        expect(events.filter((type: string) => type === "payment.confirmed")).to.have.length(1);
        expect(events.includes("exception.accepted")).to.equal(isAccepted);
      }
      await balanced();
    });

    it("G2: races with a real consumer that reads the good credit from the stream: one payment", async () => {
      const redis = plainRedis(redisServer.url);
      const consumer = startConsumer(redisServer.url, dataSource, { mode: "optional" });
      try {
        for (let round = 0; round < 6; round++) {
          const one = await session();
          const short = creditOf(one, { amount: half });
          await raised(short);
          const [answer] = await Promise.all([decide(short, "accept"), append(redis, [creditOf(one)])]);
          await drained(redis, account);
          const credits = (await get(`/v1/checkout/sessions/${one.id}/credits`)).body;
          expect(credits.payments).to.have.length(1);
          const isAccepted = credits.payments[0].key === creditKeyText(short);
          expect(answer.status).to.equal(isAccepted ? 200 : 422);
          expect(credits.exceptions.map((each: Json) => each.reason)).to.deep.equal(
            isAccepted ? ["duplicate", "underpaid"] : ["underpaid"],
          );
        }
        await balanced();
      } finally {
        await consumer.stop();
        redis.disconnect();
      }
    });

    it("G2: two credits of one session accepted at once, each several times: one payment", async () => {
      const one = await session();
      const both = await raised(creditOf(one, { amount: half }), late(one));
      const [first, second] = both as [Credit, Credit];
      const answers = await Promise.all(
        [first, second, first, second, first, second].map(async (credit) => ({
          credit,
          answer: await decide(credit, "accept"),
        })),
      );
      const { payments } = (await get(`/v1/checkout/sessions/${one.id}/credits`)).body;
      expect(payments).to.have.length(1);
      for (const { credit, answer } of answers) {
        expect(answer.status).to.equal(creditKeyText(credit) === payments[0].key ? 200 : 422);
      }
      await balanced();
    });
  });

  it("refund records what is owed to whom; dismiss, that nothing is: the inbox and the second axis are clear", async () => {
    const one = await session();
    const [short, good, twice] = (await raised(
      creditOf(one, { amount: half }),
      creditOf(one),
      creditOf(one),
    )) as [Credit, Credit, Credit];
    expect((await get(`/v1/checkout/sessions/${one.id}`)).body.anomaly).to.equal("duplicate");
    expect((await decide(twice, "refund", "  paid twice ")).body.verdict.note).to.equal("paid twice");
    expect((await get(`/v1/checkout/sessions/${one.id}`)).body.anomaly).to.equal("underpaid");
    expect((await decide(short, "dismiss")).body.open).to.equal(false);
    expect((await get(`/v1/checkout/sessions/${one.id}`)).body.anomaly).to.equal(null);
    expect(await keysOf("/v1/exceptions?open=true")).to.deep.equal([]);
    const [owed] = await dataSource.query(
      "SELECT body FROM outbox_events WHERE type = 'exception.refund_owed' AND session_id = $1",
      [one.id],
    );
    expect(JSON.parse(owed.body).data).to.deep.include({
      credit: creditKeyText(twice),
      from: twice.from,
      asset: "native",
      amount: formatStroops(twice.amount),
      decided_by: key.slice(0, 16),
      session_id: one.id,
    });
    expect(await eventsOf(one.id)).to.include("exception.dismissed");
    expect((await get(`/v1/payments/${creditKeyText(good)}`)).status).to.equal(200);
    await balanced();
  });

  it("one verdict per credit, for ever: the same again is fine, another is a conflict, also at once", async () => {
    const one = await session();
    const credit = creditOf(one, { amount: half });
    await raised(credit);
    const answers = await Promise.all(
      ["refund", "dismiss", "accept", "refund", "dismiss", "accept"].map((word, i) =>
        decide(credit, word, `${i}`),
      ),
    );
    const { verdict } = (await get(`/v1/exceptions/${creditKeyText(credit)}`)).body;
    for (const [i, word] of ["refund", "dismiss", "accept", "refund", "dismiss", "accept"].entries()) {
      const { status, body } = answers[i] as Json;
      if (word === verdict.verdict) expect([status, body.verdict]).to.deep.equal([200, verdict]);
      // Once accepted it is said of the session too, whichever is found first.
      else expect([409, 422]).to.include(status);
    }
    const again = await decide(credit, verdict.verdict, "another reason");
    expect([again.status, again.body.verdict]).to.deep.equal([200, verdict]);
    const other = await decide(credit, verdict.verdict === "refund" ? "dismiss" : "refund");
    expect([other.status, other.body.type]).to.deep.equal([409, "https://paidonce.dev/problems/conflict"]);
    await balanced();
  });

  it("what nobody could read can be dismissed, then no replay takes it back; its refund is refused", async () => {
    const unread = anUnreadable(account);
    await settle(dataSource, [unread]);
    const path = `/v1/exceptions/${creditKeyText(unread)}/verdict`;
    const refund = await api.ask("POST", path, { key, body: { verdict: "refund", note: "n" } });
    expect([refund.status, refund.body.type]).to.deep.equal([
      422,
      "https://paidonce.dev/problems/verdict-refused",
    ]);
    expect((await api.ask("POST", path, { key, body: { verdict: "dismiss", note: "n" } })).status).to.equal(
      200,
    );
    const [settlement] = await settle(dataSource, [unread], { replay: true });
    expect(settlement?.kind).to.equal("redelivered");
    await balanced();
  });

  it("a verdict wants a word that we know and a reason", async () => {
    const answer = await api.ask("POST", "/v1/exceptions/1-0/verdict", {
      key,
      body: { verdict: "forget", note: " " },
    });
    expect(answer.body.errors.map((error: Json) => error.field)).to.deep.equal(["verdict", "note"]);
    for (const path of ["x", "1", "99999999999999999999-0", "1-0-0", "-1-0"]) {
      expect((await get(`/v1/exceptions/${path}`)).status, path).to.equal(400);
      expect((await get(`/v1/payments/${path}`)).status, path).to.equal(400);
    }
    expect((await get("/v1/exceptions/1-0")).status).to.equal(404);
    expect((await get("/v1/payments/1-0")).status).to.equal(404);
  });
});
