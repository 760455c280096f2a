import { randomBytes } from "node:crypto";
import { Memo } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { DataSource } from "typeorm";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { StellarAcceptor } from "../../src/providers/stellar/provider.js";
import { settle } from "../../src/settlement/settle.js";
import type { Credit } from "../../src/stellar/credit.js";
import { chargeMemo } from "../../src/submission/check-payment.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { NOW, PASSPHRASE, pay, text, transaction } from "../submission/envelopes.js";
import { TEST_ACCEPTORS } from "../support/acceptor.js";
import {
  type ApiAnswer,
  type AskOptions,
  aMerchant,
  type Json,
  startApi,
  type TestApi,
} from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { creditOf, receivingAccount } from "../support/merchants.js";

describe("charges through the API", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let replica: TestApi;
  let dataSource: DataSource;
  let key: string;
  let merchantId: string;
  let account: string;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    dataSource = database.dataSource;
    api = await startApi(dataSource, redisServer.url, { acceptors: TEST_ACCEPTORS });
    replica = await startApi(dataSource, redisServer.url, { acceptors: TEST_ACCEPTORS });
  });
  after(async () => {
    await api.stop();
    await replica.stop();
    await redisServer.stop();
    await database.close();
  });
  beforeEach(async () => {
    ({ key, merchantId } = await aMerchant(api));
    account = await receivingAccount(dataSource, merchantId);
  });

  const PATH = "/v1/charges";
  const aBody = (body: object = {}) => ({
    amount: "12.5",
    currency: "EUR",
    reference: uuidv4(),
    provider: "test",
    payload: { token: "t" },
    ...body,
  });
  const post = (body: object = {}, options: AskOptions = {}, to = api) =>
    to.ask("POST", PATH, { key, body: aBody(body), ...options });
  const created = async (body: object = {}): Promise<Json> => {
    const answer = await post(body);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(202);
    return answer.body;
  };
  const get = async (id: string): Promise<Json> => (await api.ask("GET", `${PATH}/${id}`, { key })).body;
  const cancel = (id: string, to = api) => to.ask("POST", `${PATH}/${id}/cancel`, { key });
  const kind = ({ status, body }: ApiAnswer) => [status, body.type?.split("/").at(-1)];
  const refusal = (answer: ApiAnswer) => [...kind(answer), answer.body.errors?.[0]?.field];
  const aHash = () => randomBytes(32).toString("hex");
  const onNetwork = (payload: object = {}) => ({
    currency: undefined,
    asset: "native",
    payload: { token: "t", hash: aHash(), ...payload },
  });
  const count = async (table: "charges" | "outbox_events" | "submissions") => {
    const of = table === "submissions" ? "account = $2" : "merchant_id = $1";
    const [row] = await dataSource.query(
      `SELECT count(*)::int AS n FROM ${table} WHERE ${of} AND $1::uuid IS NOT NULL AND $2::text IS NOT NULL`,
      [merchantId, account],
    );
    return row.n;
  };
  const eventsOf = async (id: string): Promise<string[]> => {
    const rows: { type: string }[] = await dataSource.query(
      "SELECT type FROM outbox_events WHERE charge_id = $1 ORDER BY written",
      [id],
    );
    return rows.map(({ type }) => type);
  };
  /** What a worker does before it calls a provider. */
  const claim = (id: string) =>
    inSerializableTransaction(dataSource, async (runner) => {
      const [rows] = await runner.query(
        `UPDATE charges SET status = 'processing', attempts = attempts + 1, leased_since = now()
         WHERE id = $1 AND status = 'pending' RETURNING attempts`,
        [id],
      );
      for (const { attempts } of rows) {
        await runner.query(
          "INSERT INTO charge_attempts (charge_id, attempt, kind) VALUES ($1, $2, 'charge')",
          [id, attempts],
        );
      }
      return rows.length === 1;
    });

  it("are accepted with 202, their address and one event, and not charged yet", async () => {
    const metadata = { order: "7" };
    const answer = await post({ reference: "order-7", metadata });
    const charge = answer.body;
    expect([answer.status, charge]).to.deep.equal([
      202,
      {
        id: charge.id,
        status: "pending",
        livemode: false,
        merchant_id: merchantId,
        reference: "order-7",
        provider: "test",
        provider_id: null,
        amount: "12.5000000",
        currency: "EUR",
        asset: null,
        account: null,
        memo: null,
        payload: { token: "t" },
        metadata,
        failure_code: null,
        failure_detail: null,
        attempts: 0,
        created_at: charge.created_at,
        unknown_since: null,
        ended_at: null,
        url: `https://pay.example.com/v1/charges/${charge.id}`,
      },
    ]);
    expect(answer.headers.get("location")).to.equal(charge.url);
    expect(await get(charge.id)).to.deep.equal(charge);
    expect(await eventsOf(charge.id)).to.deep.equal(["charge.created"]);
    const { body: events } = await api.ask("GET", "/v1/events", { key });
    const [event] = events.data;
    expect(event).to.include({ type: "charge.created", charge_id: charge.id, session_id: null });
    expect(event.body).not.to.include("token");
  });

  it("100 equal requests at once, at two replicas: one charge, one event, equal answers", async () => {
    const body = aBody();
    const headers = { "Idempotency-Key": uuidv4() };
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        (i % 2 === 0 ? api : replica).ask("POST", PATH, { key, body, headers }),
      ),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    const [first] = accepted;
    for (const { body: charge } of accepted) expect(charge).to.deep.equal(first?.body);
    for (const answer of answers.filter(({ status }) => status !== 202)) {
      expect(kind(answer)).to.deep.equal([409, "idempotency-key-in-flight"]);
    }
    const again = await replica.ask("POST", PATH, { key, body, headers });
    expect([again.status, again.headers.get("idempotent-replayed")]).to.deep.equal([202, "true"]);
    expect([again.body, again.headers.get("location")]).to.deep.equal([first?.body, first?.body.url]);
    expect([await count("charges"), await count("outbox_events")]).to.deep.equal([1, 1]);
  });

  it("pay pressed 20 times at once, each with a key of its own: one charge, all others point to it", async () => {
    const body = aBody();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? api : replica).ask("POST", PATH, { key, body })),
    );
    const [first, ...others] = answers.filter(({ status }) => status === 202);
    expect(others).to.deep.equal([]);
    for (const answer of answers.filter((each) => each !== first)) {
      expect(kind(answer)).to.deep.equal([409, "charge-reference-used"]);
      const { charge_id: id, url } = answer.body;
      expect({ id, url }).to.deep.equal({ id: first?.body.id, url: first?.body.url });
    }
    expect([await count("charges"), await count("outbox_events")]).to.deep.equal([1, 1]);
  });

  it("a reference is charged once, whatever else is asked with it, and stays so when that one was cancelled", async () => {
    const first = await created({ reference: "order-1" });
    expect((await cancel(first.id)).status).to.equal(200);
    for (const other of [{}, { amount: "1" }, { provider: "nobody" }, { payload: { token: "bad" } }]) {
      const answer = await post({ reference: "order-1", ...other });
      expect(kind(answer)).to.deep.equal([409, "charge-reference-used"]);
      expect(answer.body).to.include({ charge_id: first.id, url: first.url });
    }
    const stranger = await aMerchant(api);
    const theirs = await post({ reference: "order-1" }, { key: stranger.key });
    expect([theirs.status, theirs.body.id === first.id]).to.deep.equal([202, false]);
  });

  it("what is wrong is named, and leaves nothing behind", async () => {
    const wrong: [object, string][] = [
      [{ amount: 12.5 }, "amount"],
      [{ amount: "0" }, "amount"],
      [{ amount: "-1" }, "amount"],
      [{ amount: "0.00000001" }, "amount"],
      [{ currency: "eur" }, "currency"],
      [{ currency: "EURO" }, "currency"],
      [{ currency: "XXX" }, "currency"],
      [{ currency: "XDR" }, "currency"],
      [{ amount: "01.5" }, "amount"],
      [{ amount: "00" }, "amount"],
      [{ reference: " \t" }, "reference"],
      [{ currency: undefined }, "currency"],
      [{ asset: "native" }, "currency"],
      [{ currency: undefined, asset: "USD:nobody" }, "asset"],
      [{ account }, "account"],
      [{ reference: "" }, "reference"],
      [{ reference: "x".repeat(201) }, "reference"],
      [{ payload: "pm_1" }, "payload"],
      [{ payload: undefined }, "payload"],
      [{ metadata: { n: 1 } }, "metadata.n"],
      [{ colour: "red" }, "colour"],
    ];
    for (const [body, field] of wrong) {
      expect(refusal(await post(body)), JSON.stringify(body)).to.deep.equal([400, "invalid-request", field]);
    }
    const unkeyed = await post({}, { headers: { "Idempotency-Key": "" } });
    expect(kind(unkeyed)).to.deep.equal([400, "idempotency-key-missing"]);
    expect([await count("charges"), await count("outbox_events")]).to.deep.equal([0, 0]);
  });

  it("what is wrong is said in words that need no knowledge of our schemas", async () => {
    const said = ({ body }: ApiAnswer) => body.errors.map(({ detail }: Json) => detail);
    const list = await api.ask("POST", PATH, { key, body: [1] as never });
    expect([kind(list), said(list)]).to.deep.equal([[400, "invalid-request"], ["it must be an object"]]);
    const status = await api.ask("GET", `${PATH}?status=foo`, { key });
    expect(said(status)).to.deep.equal(["one of pending, processing, unknown, succeeded, failed, cancelled"]);
    const account = { ...onNetwork(), account: 7 };
    expect(said(await post(account))).to.deep.equal(["it must be text"]);
    for (const answer of [await post({ currency: "XXX" }), await post({ reference: " " })]) {
      expect(said(answer).join()).not.to.match(/invalid|expected|received/i);
    }
  });

  it("what a provider could never charge is refused, with the field, and the key is free for the next try", async () => {
    const headers = { "Idempotency-Key": uuidv4() };
    const bad = await post({ payload: { token: "bad" } }, { headers });
    expect(refusal(bad)).to.deep.equal([422, "charge-refused", "payload.token"]);
    expect(bad.body.detail).to.equal("This charge can't be made: no token of ours: ask for a new one.");
    const nobody = await post({ provider: "nobody" }, { headers });
    expect(refusal(nobody)).to.deep.equal([422, "charge-refused", "provider"]);
    expect(nobody.body.detail).to.include("there is test");
    expect((await post({}, { headers })).status).to.equal(202);
  });

  it("on the network are paid to the merchant's account that takes the asset, and show a hash, never an envelope", async () => {
    const body = onNetwork();
    const charge = await created(body);
    const hash = body.payload.hash;
    expect(charge).to.deep.include({ account, asset: "native", currency: null, provider_id: hash });
    expect(charge.payload).to.deep.equal({ transaction_hash: hash });
    const listed = (await api.ask("GET", PATH, { key })).body.data;
    expect(JSON.stringify([charge, listed, await get(charge.id)])).not.to.include(`signed-${hash}`);
    expect(await count("submissions")).to.equal(1);

    const stranger = await aMerchant(api);
    const strange = await receivingAccount(dataSource, stranger.merchantId);
    const usd = `USD:${account}`;
    for (const [asked, field] of [
      [{ ...onNetwork(), account: strange }, "account"],
      [{ ...onNetwork(), account, asset: usd }, "asset"],
    ] as const) {
      expect(refusal(await post(asked))).to.deep.equal([422, "charge-refused", field]);
    }
    expect(kind(await post({ ...onNetwork(), asset: usd }))).to.deep.equal([422, "charge-refused"]);
    await receivingAccount(dataSource, merchantId);
    expect(refusal(await post(onNetwork()))).to.deep.equal([400, "invalid-request", "account"]);
    expect((await post({ ...onNetwork(), account })).status).to.equal(202);
    expect(await count("submissions")).to.equal(2);
  });

  it("a signed transaction is taken once: not again, not after it has paid, not where a session waits for it", async () => {
    const body = onNetwork();
    const first = await created(body);
    const twice = await post(body);
    expect(refusal(twice)).to.deep.equal([422, "charge-refused", "payload.transaction"]);
    expect(twice.body).to.include({ code: "used", charge_id: first.id });
    expect(twice.body.detail).to.include(first.id);
    const stranger = await aMerchant(api);
    await receivingAccount(dataSource, stranger.merchantId);
    const theirs = await post(body, { key: stranger.key });
    expect(theirs.status).to.equal(422);
    expect(theirs.body.detail).not.to.include(first.id);

    const order = { amount: "10", asset: "native" };
    const { body: session } = await api.ask("POST", "/v1/checkout/sessions", { key, body: order });
    const credit = creditOf(session);
    await settle(dataSource, [credit]);
    const applied = await post(onNetwork({ hash: credit.transactionHash }));
    expect(refusal(applied)).to.deep.equal([422, "charge-refused", "payload.transaction"]);
    expect(applied.body).to.deep.include({ code: "applied", session_id: session.id });
    expect(applied.body.detail).to.match(/don't have another one signed/);
    const named = await post(onNetwork({ memo: `id:${session.memo.value}` }));
    expect(named.body).to.include({ code: "for_session", session_id: session.id });
    expect(named.body.detail).to.include(`POST /v1/checkout/sessions/${session.id}/transaction`);
    expect([await count("charges"), await count("submissions")]).to.deep.equal([1, 1]);
  });

  it("a transaction that its payer has sent before: the charge has succeeded at once, and is asked for once", async () => {
    const reference = "order-sent-before";
    const body = { ...onNetwork(), reference };
    const { hash } = body.payload;
    const money = { asset: "native", account, amount: "12.5", memo: { value: "7" }, created_at: new Date() };
    const memo = chargeMemo(merchantId, reference);
    const credit = creditOf(money, { transactionHash: hash as Credit["transactionHash"], memo });
    await settle(dataSource, [credit]);
    const charge = await created(body);
    expect(charge).to.include({ status: "succeeded", provider_id: hash });
    expect(await eventsOf(charge.id)).to.deep.equal(["charge.created", "charge.succeeded"]);
    const { body: open } = await api.ask("GET", "/v1/exceptions?open=true", { key });
    expect(open.data).to.deep.equal([]);
    const { body: paid } = await api.ask("GET", `/v1/payments?charge_id=${charge.id}`, { key });
    expect(paid.data).to.have.length(1);
    const other = { ...body, reference: "another" };
    expect((await post(other)).body).to.include({ code: "used", charge_id: charge.id });
  });

  it("a payer's real transaction is kept as it came; one that a session waits for is the session's", async () => {
    const acceptors = new Map([["stellar", new StellarAcceptor(PASSPHRASE)]]);
    const stellar = await startApi(dataSource, redisServer.url, { acceptors });
    try {
      const maxTime = Math.floor((Date.now() - NOW.getTime()) / 1000) + 180;
      const charge = (signed: string, reference: string, amount = "12.5") =>
        stellar.ask("POST", PATH, {
          key,
          body: { amount, asset: "native", reference, provider: "stellar", payload: { transaction: signed } },
        });
      const memoOf = async (reference: string) => {
        const { body } = await stellar.ask("GET", `${PATH}/memo?reference=${reference}`, { key });
        expect(body).to.include({ reference });
        return Memo.hash(body.memo.value);
      };
      const signed = transaction([pay("12.5", { to: account })], { maxTime, memo: await memoOf("order-1") });
      const accepted = await charge(text(signed), "order-1");
      const hash = Buffer.from(signed.hash()).toString("hex");
      expect([accepted.status, accepted.body.payload]).to.deep.equal([202, { transaction_hash: hash }]);
      const [kept] = await dataSource.query("SELECT envelope FROM submissions WHERE hash = $1", [hash]);
      expect(kept).to.deep.equal({ envelope: text(signed) });
      const other = transaction([pay("12.5", { to: account })], { maxTime, sequence: 8n });
      expect(refusal(await charge(text(other), "order-2", "13"))).to.deep.equal([
        422,
        "charge-refused",
        "payload.transaction",
      ]);
      const { body: session } = await api.ask("POST", "/v1/checkout/sessions", {
        key,
        body: { amount: "12.5", asset: "native" },
      });
      const memo = Memo.id(session.memo.value);
      const sessions = await charge(
        text(transaction([pay("12.5", { to: account })], { maxTime, memo })),
        "order-3",
      );
      expect(sessions.body.detail).to.include(`/v1/checkout/sessions/${session.id}/transaction`);
      // The reference counts first: who asks again must not have another transaction signed.
      const expired = transaction([pay("12.5", { to: account })], {
        maxTime: 0,
        memo: await memoOf("order-4"),
      });
      expect((await charge(text(expired), "order-1")).body).to.include({ charge_id: accepted.body.id });
      expect(refusal(await charge(text(expired), "order-4"))[0]).to.equal(422);
    } finally {
      await stellar.stop();
    }
  });

  it("20 at once with the same transaction, each for another order: one charge", async () => {
    const body = onNetwork();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => post(body, {}, i % 2 === 0 ? api : replica)),
    );
    expect(answers.filter(({ status }) => status === 202)).to.have.length(1);
    expect([await count("charges"), await count("submissions")]).to.deep.equal([1, 1]);
  });

  it("are cancelled while nobody has begun, once, and asked again it answers the same", async () => {
    const charge = await created();
    const first = await cancel(charge.id);
    expect([first.status, first.body.status]).to.deep.equal([200, "cancelled"]);
    expect((await cancel(charge.id, replica)).body).to.deep.equal(first.body);
    expect(await eventsOf(charge.id)).to.deep.equal(["charge.created", "charge.cancelled"]);
    const begun = await created();
    expect(await claim(begun.id)).to.equal(true);
    const late = await cancel(begun.id);
    expect(kind(late)).to.deep.equal([409, "conflict"]);
    expect(late.body.detail).to.include("processing");
    expect(await eventsOf(begun.id)).to.deep.equal(["charge.created"]);
  });

  it("cancelled and claimed at the same moment, one of both holds", async () => {
    for (let round = 0; round < 10; round++) {
      const { id } = await created();
      const [claimed, answer] = await Promise.all([claim(id), cancel(id), cancel(id, replica)]);
      expect(answer.status, JSON.stringify(answer.body)).to.equal(claimed ? 409 : 200);
      expect((await get(id)).status).to.equal(claimed ? "processing" : "cancelled");
    }
  });

  it("are found by reference, status, provider and time, page by page", async () => {
    const charges: Json[] = [];
    for (let n = 0; n < 5; n++) charges.push(await created({ reference: `order-${n}` }));
    await cancel(charges[1].id);
    const ids = async (query: string) =>
      (await api.ask("GET", `${PATH}?${query}`, { key })).body.data.map(({ id }: Json) => id);
    const newestFirst = charges.map(({ id }) => id).reverse();
    expect(await ids("")).to.deep.equal(newestFirst);
    expect(await ids("reference=order-3")).to.deep.equal([charges[3].id]);
    expect(await ids("reference=order")).to.deep.equal([]);
    expect(await ids("status=cancelled")).to.deep.equal([charges[1].id]);
    expect(await ids("status=pending&provider=test")).to.have.length(4);
    expect(await ids("provider=stripe")).to.deep.equal([]);
    expect(await ids(`created_before=${charges[2].created_at}`)).to.deep.equal(
      newestFirst.filter((id) =>
        charges.some((each) => each.id === id && each.created_at < charges[2].created_at),
      ),
    );
    expect(await ids(`created_after=${charges[4].created_at}`)).to.deep.equal([]);
    const paged: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await api.ask("GET", `${PATH}?limit=2${cursor}`, { key });
      paged.push(...body.data.map(({ id }: Json) => id));
      if (body.next_cursor === null) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(paged).to.deep.equal(newestFirst);
  });

  it("tell what was tried, the newest first", async () => {
    const { id } = await created();
    await claim(id);
    await dataSource.query(
      "UPDATE charge_attempts SET ended_at = now(), outcome = 'unknown', detail = 'no answer' WHERE charge_id = $1",
      [id],
    );
    await dataSource.query(
      "INSERT INTO charge_attempts (charge_id, attempt, kind) SELECT $1, n, 'ask' FROM generate_series(2, 4) n",
      [id],
    );
    const page = await api.ask("GET", `${PATH}/${id}/attempts?limit=3`, { key });
    expect(page.body.data.map(({ attempt }: Json) => attempt)).to.deep.equal([4, 3, 2]);
    const { body } = await api.ask("GET", `${PATH}/${id}/attempts?cursor=${page.body.next_cursor}`, { key });
    expect(body.data).to.have.length(1);
    expect(body.data[0]).to.deep.include({
      attempt: 1,
      kind: "charge",
      outcome: "unknown",
      detail: "no answer",
    });
  });

  it("are nobody else's to see or to cancel", async () => {
    const { id } = await created();
    const stranger = await aMerchant(api);
    for (const [method, path] of [
      ["GET", `${PATH}/${id}`],
      ["GET", `${PATH}/${id}/attempts`],
      ["POST", `${PATH}/${id}/cancel`],
      ["GET", `${PATH}/${uuidv7()}`],
    ] as const) {
      expect(kind(await api.ask(method, path, { key: stranger.key }))).to.deep.equal([404, "not-found"]);
    }
    expect((await api.ask("GET", PATH, { key: stranger.key })).body.data).to.deep.equal([]);
    expect((await get(id)).status).to.equal("pending");
  });

  it("their payments are found by them, in the list and in the file", async () => {
    const { id } = await created(onNetwork());
    const order = { amount: "10", asset: "native" };
    const { body: session } = await api.ask("POST", "/v1/checkout/sessions", { key, body: order });
    await settle(dataSource, [creditOf(session)]);
    const [paid] = (await api.ask("GET", "/v1/payments", { key })).body.data;
    expect(paid).to.include({ session_id: session.id, charge_id: null });
    // As settlement writes it for a charge.
    await dataSource.query("UPDATE payments SET session_id = NULL, charge_id = $1 WHERE session_id = $2", [
      id,
      session.id,
    ]);
    const query = `charge_id=${id}`;
    const { body } = await api.ask("GET", `/v1/payments?${query}`, { key });
    expect(body.data).to.deep.equal([{ ...paid, session_id: null, charge_id: id }]);
    expect((await api.ask("GET", `/v1/payments/${paid.key}`, { key })).body.charge_id).to.equal(id);
    expect((await api.ask("GET", `/v1/payments?charge_id=${uuidv7()}`, { key })).body.data).to.deep.equal([]);
    const file: string = (await api.ask("GET", `/v1/payments.csv?${query}`, { key })).body;
    const [header = "", row = ""] = file.split("\n");
    expect([header.split(",").at(-1), row.split(",").at(-1)]).to.deep.equal(["charge_id", id]);
  });
});
