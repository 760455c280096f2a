import { Account, Asset, Keypair, Memo, MuxedAccount, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { memoOfTransaction } from "../../src/stellar/memo.js";
import { parseOperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { appendPaymentsUnchecked } from "../../stage/sandbox/bulk.js";
import { type Json, Stage } from "./stage.js";

describe("sandbox: feeds", () => {
  it("numbers operations as the network does, past 2^53", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const pay = () => Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount: "1" });
    stage.queue(stage.build(alice, [pay()]));
    stage.queue(stage.build(alice, [pay(), pay()], { fee: "100" }));
    const { sequence } = stage.network.closeLedger();
    const page = await stage.server.payments().forLedger(sequence).call();
    expect(page.records.map(({ id }) => id)).to.deep.equal([
      toOperationId(sequence, 1, 1).toString(),
      toOperationId(sequence, 2, 1).toString(),
      toOperationId(sequence, 2, 2).toString(),
    ]);
    expect(parseOperationId(page.records[0]?.id) > BigInt(Number.MAX_SAFE_INTEGER)).to.equal(true);
    const transaction = await stage.server.transactions().forLedger(sequence).call();
    expect(transaction.records[1]?.paging_token).to.equal(toOperationId(sequence, 2, 0).toString());
  });

  it("pages through everything once, in both directions, at every page size", async () => {
    await using stage = await Stage.open();
    const bob = stage.account();
    appendPaymentsUnchecked(
      stage.network,
      Array.from({ length: 23 }, () => ({ to: bob.publicKey(), amount: "0.0000001" })),
    );
    stage.network.closeLedger();
    const all: string[] = [];
    for (const limit of [1, 7, 23, 24, 200]) {
      for (const order of ["asc", "desc"] as const) {
        const seen: string[] = [];
        let page = await stage.server.payments().forAccount(bob.publicKey()).limit(limit).order(order).call();
        while (page.records.length > 0) {
          seen.push(...page.records.map(({ paging_token }) => paging_token));
          page = await page.next();
        }
        if (order === "desc") seen.reverse();
        if (all.length === 0) all.push(...seen);
        expect(seen, `${order} by ${limit}`).to.deep.equal(all);
      }
    }
    expect(new Set(all).size).to.equal(24);
    const middle = await stage.server
      .payments()
      .cursor(all[10] ?? "")
      .limit(3)
      .call();
    const back = await middle.prev();
    expect(back.records[0]?.paging_token).to.equal(all[10]);
  });

  it("pages through twenty thousand payments of one account without a gap", async () => {
    await using stage = await Stage.open();
    const bob = stage.account();
    const count = 20_000;
    for (let i = 0; i < 4; i++) {
      appendPaymentsUnchecked(
        stage.network,
        Array.from({ length: count / 4 }, (_, n) => ({
          to: bob.publicKey(),
          amount: "1",
          memo: `m${i}-${n}`,
        })),
      );
      stage.network.closeLedger();
    }
    let seen = 0;
    let cursor = "";
    for (;;) {
      const { body } = await stage.json(`/accounts/${bob.publicKey()}/payments?limit=200&cursor=${cursor}`);
      const { records } = body._embedded;
      if (records.length === 0) break;
      seen += records.length;
      cursor = records.at(-1).paging_token;
    }
    expect(seen).to.equal(count + 1);
  });

  it("shows an account what it sent as well, and failed operations only when asked", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    stage.apply(stage.payment(alice, bob, "1"));
    const failed = stage.apply(stage.payment(alice, bob, "5000"));
    const of = async (query: string) =>
      (await stage.json(`/accounts/${alice.publicKey()}/payments${query}`)).body._embedded.records;
    expect((await of("")).map(({ type }: Json) => type)).to.deep.equal(["create_account", "payment"]);
    const all = await of("?include_failed=true");
    expect(all.map(({ transaction_successful }: Json) => transaction_successful)).to.deep.equal([
      true,
      true,
      false,
    ]);
    const byHash = await stage.json(`/transactions/${failed.hash}/payments`);
    expect(byHash.body._embedded.records[0].transaction_successful).to.equal(false);
    const effects = await stage.json(`/operations/${failed.operations[0]?.id}/effects`);
    expect(effects.body._embedded.records).to.deep.equal([]);
  });

  it("puts the whole transaction beside the payment with join=transactions, the memo exact", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const bytes = Buffer.from([0xff, 0x00, 0x61]);
    const memos = [
      Memo.text("order 1"),
      Memo.text(bytes),
      Memo.id("18446744073709551615"),
      Memo.hash(Buffer.alloc(32, 7)),
      Memo.none(),
    ];
    for (const memo of memos) stage.apply(stage.payment(alice, bob, "1", { memo }));
    const page = await stage.server.payments().forAccount(bob.publicKey()).join("transactions").call();
    const found = page.records.slice(1).map((record) => {
      const joined: Json = record;
      return memoOfTransaction(joined.transaction_attr);
    });
    expect(found).to.deep.equal([
      `text:${Buffer.from("order 1").toString("hex")}`,
      "text:ff0061",
      "id:18446744073709551615",
      `hash:${"07".repeat(32)}`,
      null,
    ]);
    const plain: Json = (await stage.server.payments().call()).records[0];
    expect(plain.transaction_attr).to.equal(undefined);
  });

  it("names muxed addresses beside the accounts they belong to", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const muxed = (key: Keypair, id: string) =>
      new MuxedAccount(new Account(key.publicKey(), "0"), id).accountId();
    const destination = muxed(bob, "7");
    const source = muxed(alice, "18446744073709551615");
    const operation = Operation.payment({ destination, asset: Asset.native(), amount: "1", source });
    const paid = stage.apply(stage.build(alice, [operation]));
    const { body } = await stage.json(`/operations/${paid.operations[0]?.id}`);
    expect(body).to.include({
      from: alice.publicKey(),
      from_muxed: source,
      from_muxed_id: "18446744073709551615",
      to: bob.publicKey(),
      to_muxed: destination,
      to_muxed_id: "7",
      source_account: alice.publicKey(),
      source_account_muxed: source,
    });
    const merge = stage.apply(stage.build(alice, [Operation.accountMerge({ destination })]));
    const merged = (await stage.json(`/operations/${merge.operations[0]?.id}`)).body;
    expect(merged).to.include({ into: bob.publicKey(), into_muxed: destination, into_muxed_id: "7" });
    expect(merged).to.not.have.property("amount");
    const effects = (await stage.json(`/operations/${merge.operations[0]?.id}/effects`)).body._embedded
      .records;
    expect(effects.map(({ type }: Json) => type)).to.deep.equal([
      "account_debited",
      "account_credited",
      "account_removed",
    ]);
    expect(effects[1]).to.include({ amount: "998.9999800", account_muxed_id: "7" });
    expect(effects[1].id).to.match(/^\d{19}-0000000002$/);
    const second = await stage.json(
      `/operations/${merge.operations[0]?.id}/effects?cursor=${effects[0].paging_token}&limit=1`,
    );
    expect(second.body._embedded.records[0].id).to.equal(effects[1].id);
    expect(stage.network.credits.of(bob.publicKey()).at(-1)).to.include({
      amount: "998.9999800",
      muxed_id: "7",
    });
  });

  it("refuses bad parameters and unknown things with Horizon's problems", async () => {
    await using stage = await Stage.open();
    const unknown = Keypair.random().publicKey();
    const cases: [string, number, string][] = [
      ["/payments?limit=0", 400, "bad_request"],
      ["/payments?limit=201", 400, "bad_request"],
      ["/payments?limit=x", 400, "bad_request"],
      ["/payments?order=up", 400, "bad_request"],
      ["/payments?cursor=-5", 400, "bad_request"],
      ["/payments?cursor=9223372036854775808", 400, "bad_request"],
      ["/payments?join=accounts", 400, "bad_request"],
      ["/payments?include_failed=maybe", 400, "bad_request"],
      ["/accounts/nonsense", 400, "bad_request"],
      [`/accounts/${unknown}`, 404, "not_found"],
      [`/accounts/${unknown}/payments`, 404, "not_found"],
      [`/transactions/${"0".repeat(64)}`, 404, "not_found"],
      ["/ledgers/70000000", 404, "not_found"],
      ["/operations/300000000000000000", 404, "not_found"],
      ["/nowhere", 404, "not_found"],
    ];
    for (const [path, status, type] of cases) {
      const { status: got, body } = await stage.json(path);
      expect([got, body.type, body.status], path).to.deep.equal([
        status,
        `https://stellar.org/horizon-errors/${type}`,
        status,
      ]);
    }
  });

  it("tells how far it is, on the root and with answers about the ledger's state alone", async () => {
    await using stage = await Stage.open();
    const account = stage.account().publicKey();
    const { body } = await stage.json("/");
    expect(body.history_latest_ledger).to.equal(60_000_001);
    expect(body.history_elder_ledger).to.equal(60_000_000);
    expect(body.network_passphrase).to.equal("Paidonce Sandbox Network ; 2026");
    const latestLedger = async (path: string) => (await stage.json(path)).headers.get("latest-ledger");
    for (const path of [`/accounts/${account}`, `/accounts/${Keypair.random().publicKey()}`]) {
      expect(await latestLedger(path), path).to.equal("60000001");
    }
    expect(await latestLedger(`/accounts/${account}/data/none`)).to.equal("60000001");
    const history = ["/", "/payments", "/operations", "/transactions", "/ledgers", "/fee_stats"];
    for (const path of [...history, `/accounts/${account}/payments`, `/transactions/${"0".repeat(64)}`]) {
      expect(await latestLedger(path), path).to.equal(null);
    }
    const [ledger] = (await stage.server.ledgers().order("desc").limit(1).call()).records;
    expect(ledger?.sequence).to.equal(60_000_001);
    expect((await stage.server.feeStats()).last_ledger_base_fee).to.equal("100");
  });

  it("knows on the root a newest ledger that may be a moment old, and in its feeds the newest", async () => {
    await using stage = await Stage.open({ rootCacheMs: 3_600_000 });
    const { body: before } = await stage.json("/");
    stage.account();
    const { body: after } = await stage.json("/");
    for (const field of ["history_latest_ledger", "ingest_latest_ledger", "core_latest_ledger"]) {
      expect(after[field], field).to.equal(before[field]).and.to.equal(60_000_000);
    }
    expect((await stage.json("/payments")).body._embedded.records).to.have.length(1);
  });
});
