import { type Keypair, Operation, Asset as SdkAsset, type xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { checkReceivingAccounts, MOST_A_RUN } from "../../src/jobs/check-receiving-accounts.js";
import { createRegistry } from "../../src/metrics/registry.js";
import { statusMetrics } from "../../src/metrics/status-metrics.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Stage } from "../sandbox/stage.js";
import { ADMIN_KEY, type ApiAnswer, aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { refuseRow } from "../support/bad-rows.js";
import { newAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const DAY = 86_400;

/** On a real network: what an account can receive is what its ledger says. */
describe("a receiving account that can't be paid", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let stage: Stage;
  let api: TestApi;
  let merchantId: string;
  let key: string;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
  });
  after(async () => {
    await redisServer.stop();
    await database.close();
  });
  beforeEach(async () => {
    stage = await Stage.open();
    api = await start(0);
    ({ merchantId, key } = await aMerchant(api));
  });
  afterEach(async () => {
    await api.stop();
    await stage[Symbol.asyncDispose]();
  });

  /** @param freshMs 0: asked each time */
  const start = (freshMs: number, horizon = new HorizonClient({ url: stage.sandbox.url })) =>
    startApi(database.dataSource, redisServer.url, { horizon, freshMs });
  const textOf = (asset: SdkAsset) => `${asset.getCode()}:${asset.getIssuer()}`;
  const register = (account: string, ...assets: string[]) =>
    api.ask("POST", `/v1/merchants/${merchantId}/accounts`, { key: ADMIN_KEY, body: { account, assets } });
  const change = (account: string, ...assets: string[]) =>
    api.ask("PATCH", `/v1/merchants/${merchantId}/accounts/${account}`, { key: ADMIN_KEY, body: { assets } });
  const open = (asset: string, body: object = {}, at: TestApi = api, headers = {}) =>
    at.ask("POST", "/v1/checkout/sessions", { key, body: { amount: "10", asset, ...body }, headers });
  const page = async (session: Json, at: TestApi = api): Promise<string> =>
    (await at.ask("GET", `/pay/${session.id}`, { headers: { Accept: "text/html" } })).body;
  const codes = ({ body }: ApiAnswer) => body.warnings.map(({ code, asset }: Json) => [code, asset]);
  const refusal = ({ status, body }: ApiAnswer) => [status, body.type?.split("/").at(-1), body.code];
  const trust = (holder: Keypair, asset: SdkAsset, limit?: string) =>
    stage.apply(stage.build(holder, [Operation.changeTrust({ asset, ...(limit && { limit }) })]));
  const askForMemos = (account: Keypair) =>
    stage.apply(stage.build(account, [Operation.manageData({ name: "config.memo_required", value: "1" })]));
  const offers = (html: string) => html.includes("web+stellar:pay");
  const notPayable = (code: string) => [409, "account-not-payable", code];

  /** A run of the job. */
  const checkAccounts = (againAfterMs: number) =>
    checkReceivingAccounts(
      {
        dataSource: database.dataSource,
        horizon: new HorizonClient({ url: stage.sandbox.url }),
        againAfterMs,
      },
      new AbortController().signal,
    );
  /** The job passes over the accounts of the other tests. */
  const leaveOthers = (...accounts: string[]) =>
    database.dataSource.query(
      "UPDATE receiving_accounts SET asked_at = CASE WHEN account = ANY ($1) THEN NULL ELSE 'infinity'::timestamptz END",
      [accounts],
    );

  it("is registered with a warning for each asset, and with none once all is well", async () => {
    const shop = stage.account();
    const [held, lacking, full] = [
      stage.asset("USDC", [shop], "0"),
      stage.asset("EURC", []),
      stage.asset("FULL", []),
    ];
    trust(shop, full.asset, "5");
    stage.apply(
      stage.build(full.issuer, [
        Operation.payment({ destination: shop.publicKey(), asset: full.asset, amount: "5" }),
      ]),
    );
    const assets = ["native", textOf(held.asset), textOf(lacking.asset), textOf(full.asset)];
    const answer = await register(shop.publicKey(), ...assets);
    expect([answer.status, codes(answer)], JSON.stringify(answer.body)).to.deep.equal([
      201,
      [
        ["no_trustline", textOf(lacking.asset)],
        ["limit_reached", textOf(full.asset)],
        ["memo_not_required", null],
      ],
    ]);
    for (const { detail } of answer.body.warnings) expect(detail).to.match(/: \w+|operation/);

    trust(shop, lacking.asset);
    trust(shop, full.asset, "500");
    askForMemos(shop);
    const changed = await change(shop.publicKey(), ...assets);
    expect([changed.status, changed.body.warnings]).to.deep.equal([200, []]);
  });

  it("is registered before it exists, with one warning that says so", async () => {
    const { asset } = stage.asset("USDC", []);
    const answer = await register(newAccount(), "native", textOf(asset));
    expect([answer.status, codes(answer)]).to.deep.equal([201, [["account_missing", null]]]);
    expect(answer.body.warnings[0].detail).to.match(/does not exist.*create it/);
  });

  it("is refused for an asset that nobody can hold, at registration and when it is changed", async () => {
    const nobodys = `USDC:${newAccount()}`;
    const shop = stage.account();
    expect(refusal(await register(shop.publicKey(), "native", nobodys))).to.deep.equal(
      notPayable("issuer_missing"),
    );
    expect((await register(shop.publicKey(), "native")).status, "nothing was kept").to.equal(201);
    expect(refusal(await change(shop.publicKey(), nobodys))).to.deep.equal(notPayable("issuer_missing"));
    const listed = await api.ask("GET", `/v1/merchants/${merchantId}/accounts`, { key: ADMIN_KEY });
    expect(listed.body.data[0].assets).to.deep.equal(["native"]);
  });

  it("takes what it issues itself, without a trustline", async () => {
    const shop = stage.account();
    askForMemos(shop);
    const gift = `GIFT:${shop.publicKey()}`;
    expect((await register(shop.publicKey(), gift)).body.warnings).to.deep.equal([]);
    const session = await open(gift);
    expect([session.status, session.body.warnings]).to.deep.equal([201, []]);
    expect(offers(await page(session.body))).to.equal(true);
  });

  it("opens no session that ends before its owner can act, and one that lives a day with a warning", async () => {
    const shop = stage.account();
    const { asset } = stage.asset("USDC", []);
    await register(shop.publicKey(), textOf(asset));
    const key = { "Idempotency-Key": "order-1001" };
    const refused = await open(textOf(asset), {}, api, key);
    expect(refusal(refused)).to.deep.equal(notPayable("no_trustline"));
    expect(refused.body.detail).to.match(/no trustline .*: add one/);
    expect(refusal(await open(textOf(asset), { account: shop.publicKey() }))).to.deep.equal(
      notPayable("no_trustline"),
    );
    expect(refusal(await open(textOf(asset), { expires_in_seconds: DAY - 60 }))[0]).to.equal(409);
    const invoice = await open(textOf(asset), { expires_in_seconds: DAY + 60 });
    expect([invoice.status, codes(invoice)]).to.deep.equal([201, [["no_trustline", textOf(asset)]]]);
    expect(offers(await page(invoice.body))).to.equal(false);

    trust(shop, asset);
    expect(offers(await page(invoice.body)), "it came right").to.equal(true);
    const again = await open(textOf(asset), {}, api, key);
    expect([again.status, again.body.warnings], "the same key, once it came right").to.deep.equal([201, []]);

    trust(shop, asset, "9.9999999");
    expect(refusal(await open(textOf(asset)))).to.deep.equal(notPayable("limit_too_low"));
    const repeated = await open(textOf(asset), {}, api, key);
    expect(repeated.body, "what was answered stays answered").to.deep.equal(again.body);
    expect(repeated.headers.get("idempotent-replayed")).to.equal("true");
  });

  it("is refused while the issuer has not authorised it, before the first time and once that is taken back", async () => {
    const [shop, issuer] = [stage.account(), stage.account()];
    askForMemos(shop);
    const usdc = new SdkAsset("USDC", issuer.publicKey());
    const asset = textOf(usdc);
    const byIssuer = (operation: xdr.Operation) => stage.apply(stage.build(issuer, [operation]));
    const allow = (authorized: boolean) =>
      byIssuer(
        Operation.setTrustLineFlags({ trustor: shop.publicKey(), asset: usdc, flags: { authorized } }),
      );
    // AUTH_REQUIRED and AUTH_REVOCABLE.
    byIssuer(Operation.setOptions({ setFlags: 3 as 1 }));

    const registered = await register(shop.publicKey(), asset);
    expect(codes(registered)).to.deep.equal([["no_trustline", asset]]);
    expect(registered.body.warnings[0].detail).to.match(/AUTH_REQUIRED.*ask the issuer/);
    trust(shop, usdc);
    const changed = await change(shop.publicKey(), asset);
    expect([changed.status, codes(changed)]).to.deep.equal([200, [["not_authorized", asset]]]);
    expect(changed.body.warnings[0].detail).to.match(/ask its issuer to authorise/);
    const refused = await open(asset);
    expect(refusal(refused)).to.deep.equal(notPayable("not_authorized"));
    expect(refused.body.detail).to.match(/ask its issuer to authorise/);
    const invoice = await open(asset, { expires_in_seconds: DAY + 60 });
    expect([invoice.status, codes(invoice)]).to.deep.equal([201, [["not_authorized", asset]]]);
    expect(offers(await page(invoice.body))).to.equal(false);

    allow(true);
    expect((await change(shop.publicKey(), asset)).body.warnings).to.deep.equal([]);
    const opened = await open(asset);
    expect([opened.status, opened.body.warnings]).to.deep.equal([201, []]);
    for (const session of [opened, invoice]) expect(offers(await page(session.body))).to.equal(true);

    allow(false);
    expect(refusal(await open(asset))).to.deep.equal(notPayable("not_authorized"));
    for (const session of [opened, invoice]) expect(offers(await page(session.body))).to.equal(false);
    await leaveOthers(shop.publicKey());
    expect(await checkAccounts(0)).to.deep.equal({ checked: 1, unpayable: 1, unanswered: 0 });
    const fresh = await start(0);
    const { body: status } = await fresh.ask("GET", "/v1/status");
    await fresh.stop();
    const named = status.unpayable.longest.filter(({ account }: Json) => account === shop.publicKey());
    expect(named).to.have.length(1);
    expect(named[0]).to.deep.include({ asset, obstacle: "not_authorized" });
    const registry = createRegistry();
    statusMetrics(registry)(status);
    const unpayable = status.unpayable.by_obstacle.not_authorized;
    expect(unpayable).to.be.at.least(1);
    const metrics = await registry.metrics();
    expect(metrics).to.contain(`paidonce_accounts_unpayable{obstacle="not_authorized"} ${unpayable}\n`);
    const lines = metrics.split("\n").filter((line) => line.startsWith("paidonce_accounts_unpayable{"));
    expect(lines, "one for each reason, none for an account").to.have.length(6);
  });

  it("opens a session with a warning where somebody else can end what is in the way", async () => {
    const missing = stage.account("10");
    stage.apply(
      stage.build(missing, [Operation.accountMerge({ destination: stage.network.root.publicKey() })]),
    );
    await register(missing.publicKey(), "native");
    const unborn = await open("native");
    expect([unborn.status, codes(unborn)]).to.deep.equal([201, [["account_missing", "native"]]]);
    expect(offers(await page(unborn.body))).to.equal(false);
    stage.account("10", missing);
    expect(offers(await page(unborn.body))).to.equal(true);

    const shop = stage.account();
    const { asset, issuer } = stage.asset("USDC", []);
    trust(shop, asset, "100");
    const [destination, text] = [shop.publicKey(), textOf(asset)];
    await register(destination, text);
    const session = await open(text);
    expect(session.body.warnings).to.deep.equal([]);
    stage.apply(stage.build(issuer, [Operation.payment({ destination, asset, amount: "90.0000001" })]));
    const full = await open(text);
    expect([full.status, codes(full)]).to.deep.equal([201, [["limit_reached", text]]]);
    expect(offers(await page(session.body)), "of a session that was opened before").to.equal(false);
    expect((await open(text, { amount: "9.9999999" })).body.warnings, "what fits").to.deep.equal([]);
    stage.apply(
      stage.build(shop, [Operation.payment({ destination: issuer.publicKey(), asset, amount: "1" })]),
    );
    expect(offers(await page(session.body))).to.equal(true);
  });

  it("is not offered by an open session's page, which says so and hides nothing else", async () => {
    const shop = stage.account();
    const { asset } = stage.asset("USDC", [shop], "0");
    await register(shop.publicKey(), textOf(asset));
    const { body: session } = await open(textOf(asset), { cancel_url: "https://shop.example.com/cart" });
    expect(offers(await page(session))).to.equal(true);
    trust(shop, asset, "0");
    const html = await page(session);
    expect(html).to.include("This can’t be paid right now").and.include("Time left");
    expect(html).to.include("https://shop.example.com/cart");
    expect(html).to.not.include(session.memo.value).and.not.include(shop.publicKey());
  });

  it("a session opens while Horizon is away or hangs, with a warning, and the page goes by what was known last", async () => {
    const shop = stage.account();
    const { asset } = stage.asset("USDC", [shop], "0");
    await register(shop.publicKey(), "native", textOf(asset));
    const { body: session } = await open(textOf(asset));
    trust(shop, asset, "0");
    expect(offers(await page(session))).to.equal(false);
    for (const fault of [
      { kind: "status", status: 503 },
      { kind: "truncate" },
      { kind: "delay", ms: 60_000 },
    ] as const) {
      stage.sandbox.faults.add({ ...fault, path: "/accounts" });
      const answer = await open("native");
      expect([answer.status, codes(answer)], fault.kind).to.deep.equal([201, [["not_checked", "native"]]]);
      expect(offers(await page(answer.body)), fault.kind).to.equal(true);
      expect(offers(await page(session)), fault.kind).to.equal(false);
      expect((await change(shop.publicKey(), "native", textOf(asset))).body.warnings[0].code).to.equal(
        "not_checked",
      );
      stage.sandbox.faults.clear();
    }
    expect((await open("native")).body.warnings).to.deep.equal([]);
  });

  it("one answer of Horizon serves the sessions of a while, and nobody can have it asked for what is not theirs", async () => {
    let requests = 0;
    const observer = { answered: () => void requests++, failed: () => void requests++ };
    const other = await start(600_000, new HorizonClient({ url: stage.sandbox.url, observer }));
    try {
      const shop = stage.account();
      await register(shop.publicKey(), "native");
      const opened = await Promise.all(Array.from({ length: 20 }, () => open("native", {}, other)));
      for (const { status, body } of opened) expect([status, body.warnings]).to.deep.equal([201, []]);
      await page(opened[0]?.body, other);
      expect(requests).to.equal(1);
      for (let i = 0; i < 5; i++) {
        const answer = await open("native", { account: newAccount() }, other);
        expect([answer.status, answer.body.type]).to.deep.equal([
          422,
          "https://paidonce.dev/problems/session-refused",
        ]);
      }
      expect(requests, "for accounts of nobody").to.equal(1);
    } finally {
      await other.stop();
    }
  });

  it("is watched for ever: red while nothing can arrive, with what to do, and green once it can", async () => {
    const shop = stage.account();
    const { asset } = stage.asset("USDC", [shop], "0");
    await register(shop.publicKey(), "native", textOf(asset));
    const check = () => checkAccounts(0);
    /** A status of its own: what is shared is a second old. */
    const lines = async (): Promise<string[]> => {
      const fresh = await start(0);
      const { body } = await fresh.ask("GET", "/v1/status");
      await fresh.stop();
      return body.problems.filter(
        (problem: string) => problem.includes(shop.publicKey()) && problem.startsWith("Nobody can pay"),
      );
    };
    await leaveOthers(shop.publicKey());
    expect(await check()).to.deep.equal({ checked: 1, unpayable: 0, unanswered: 0 });
    expect(await lines()).to.deep.equal([]);

    trust(shop, asset, "0");
    expect(await check()).to.deep.equal({ checked: 1, unpayable: 1, unanswered: 0 });
    const [line, ...more] = await lines();
    expect(more).to.deep.equal([]);
    expect(line)
      .to.include(textOf(asset))
      .and.match(/no trustline .*: add one.*Nothing is lost/);

    stage.sandbox.faults.add({ kind: "status", status: 503, path: "/accounts" });
    expect(await check()).to.deep.equal({ checked: 0, unpayable: 0, unanswered: 1 });
    expect(await lines(), "no answer changes nothing").to.deep.equal([line]);
    stage.sandbox.faults.clear();

    trust(shop, asset);
    await check();
    expect(await lines()).to.deep.equal([]);
  });

  it("is asked for in its turn: so many in a run, the oldest first, and one that gives no answer holds up no other", async () => {
    const accounts = Array.from({ length: MOST_A_RUN + 2 }, newAccount).sort();
    for (const account of accounts) await register(account, "native");
    await leaveOthers(...accounts);
    stage.sandbox.faults.add({ kind: "status", status: 503, path: `/accounts/${accounts[0]}` });
    const hour = 3_600_000;
    expect(await checkAccounts(hour)).to.deep.equal({
      checked: MOST_A_RUN - 1,
      unpayable: MOST_A_RUN - 1,
      unanswered: 1,
    });
    expect(await checkAccounts(hour)).to.deep.equal({ checked: 2, unpayable: 2, unanswered: 0 });
    expect(await checkAccounts(hour), "none is due").to.deep.equal({
      checked: 0,
      unpayable: 0,
      unanswered: 0,
    });
    expect(await checkAccounts(0)).to.include({ checked: MOST_A_RUN - 1, unanswered: 1 });
    const fresh = await start(0);
    const { body } = await fresh.ask("GET", "/v1/status");
    await fresh.stop();
    expect(body.unpayable.longest).to.have.length(10);
    expect(body.unpayable.count).to.be.at.least(MOST_A_RUN + 1);
    expect(body.problems.filter((line: string) => line.startsWith("Nobody can pay"))).to.have.length(10);
    expect(body.problems).to.include(`${body.unpayable.count - 10} more accounts and assets can't be paid.`);
    expect(body.healthy).to.equal(false);
  });

  it("is recorded although the answer for another one can't be", async () => {
    const accounts = Array.from({ length: 4 }, newAccount).sort();
    for (const account of accounts) await register(account, "native");
    await leaveOthers(...accounts);
    await database.dataSource.query("DELETE FROM receiving_states");
    await refuseRow(database.dataSource, "receiving_states", `NEW.account = '${accounts[1]}'`, "INSERT");
    const error: unknown = await checkAccounts(3_600_000).catch((thrown: unknown) => thrown);
    expect(String(error)).to.contain("1 of 4 could not be looked at");
    const rows: { account: string }[] = await database.dataSource.query(
      "SELECT account FROM receiving_states WHERE account = ANY ($1) ORDER BY account",
      [accounts],
    );
    expect(rows.map(({ account }) => account)).to.deep.equal(accounts.filter((_, i) => i !== 1));
  });
});
