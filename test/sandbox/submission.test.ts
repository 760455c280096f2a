import {
  Asset,
  type FeeBumpTransaction,
  Memo,
  Operation,
  TransactionBuilder,
  TransactionFailedError,
  xdr,
} from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Stage } from "./stage.js";

describe("sandbox: submission", () => {
  it("answers with the transaction once its ledger has closed, and again with the same", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [alice, bob] = [stage.account(), stage.account()];
    const transaction = stage.payment(alice, bob, "2.5", { memo: Memo.text("hello") });
    const first = await stage.server.submitTransaction(transaction);
    expect(first.hash).to.equal(Buffer.from(transaction.hash()).toString("hex"));
    expect(first.successful).to.equal(true);
    const again = await stage.server.submitTransaction(transaction);
    expect(again.paging_token).to.equal(first.paging_token);
    const balances = (await stage.server.loadAccount(bob.publicKey())).balances;
    expect(balances[0]?.balance).to.equal("1002.5000000");
  });

  it("answers transaction_failed as Horizon does", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [alice, bob] = [stage.account(), stage.account()];
    const transaction = stage.payment(alice, bob, "5000");
    const error = await stage.server.submitTransaction(transaction).catch((thrown: unknown) => thrown);
    if (!(error instanceof TransactionFailedError)) throw error;
    expect(error.getResultCodes()).to.deep.equal({
      transaction: "tx_failed",
      operations: ["op_underfunded"],
    });
    expect(error.getTransactionResult()?.result.type).to.equal("txFailed");
    const { status, body, headers } = await stage.submitForm("/transactions", transaction);
    expect(status).to.equal(400);
    expect(headers.get("content-type")).to.contain("application/problem+json");
    expect(body).to.have.all.keys("type", "title", "status", "detail", "extras");
    expect(body.type).to.equal("https://stellar.org/horizon-errors/transaction_failed");
    expect(body.extras).to.have.all.keys("envelope_xdr", "result_codes", "result_xdr");
    const byHash = await stage.server
      .transactions()
      .transaction(Buffer.from(transaction.hash()).toString("hex"))
      .call();
    expect(byHash.successful, "a failed transaction is in history").to.equal(false);
  });

  it("answers transaction_malformed to what is no envelope", async () => {
    await using stage = await Stage.open();
    for (const tx of ["", "AAAA", "not base64!"]) {
      const { status, body } = await stage.json("/transactions", {
        method: "POST",
        body: new URLSearchParams({ tx }),
      });
      expect(status).to.equal(400);
      expect(body.type).to.match(/transaction_malformed$/);
    }
  });

  it("answers /transactions_async at once", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const transaction = stage.payment(alice, bob);
    const hash = Buffer.from(transaction.hash()).toString("hex");
    const pending = await stage.submitForm("/transactions_async", transaction);
    expect([pending.status, pending.body]).to.deep.equal([201, { tx_status: "PENDING", hash }]);
    const duplicate = await stage.submitForm("/transactions_async", transaction);
    expect([duplicate.status, duplicate.body]).to.deep.equal([409, { tx_status: "DUPLICATE", hash }]);
    const refused = await stage.submitForm(
      "/transactions_async",
      stage.payment(alice, bob, "1", { fee: "1" }),
    );
    expect([refused.status, refused.body.tx_status]).to.deep.equal([400, "ERROR"]);
    const result = xdr.TransactionResult.fromXdr(refused.body.error_result_xdr, "base64");
    expect(result.result.type).to.equal("txInsufficientFee");
    stage.network.closeLedger();
    const found = await stage.server.transactions().transaction(hash).call();
    expect(found.successful).to.equal(true);
  });

  it("takes several transactions of one account into one ledger, in sequence", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    for (let i = 0; i < 3; i++) stage.queue(stage.payment(alice, bob));
    const ledger = stage.network.closeLedger();
    expect(ledger.successful).to.equal(3);
  });

  it("drops what is too late by the time its ledger closes, without a charge", async () => {
    let now = 1_800_000_000_000;
    await using stage = await Stage.open({ clock: () => now });
    const [alice, bob] = [stage.account(), stage.account()];
    const transaction = stage.payment(alice, bob, "1", { bounds: { minTime: 0, maxTime: 1_800_000_001 } });
    const submission = stage.network.submit(transaction.toEnvelope().toXdr("base64"));
    if (submission.kind !== "queued") throw new Error(submission.kind);
    now += 2000;
    stage.network.closeLedger();
    const outcome = await submission.queued.outcome;
    expect(outcome.kind === "dropped" && outcome.verdict.code).to.equal("tx_too_late");
    expect(stage.network.accounts.get(alice.publicKey())?.balance).to.equal(1000_0000000n);
  });

  it("lets friendbot make accounts, once each", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [one, two] = await Promise.all(
      [stage.network.root, stage.account()].map((key, i) =>
        stage.json(`/friendbot?addr=${i === 0 ? "nonsense" : key.publicKey()}`),
      ),
    );
    expect([one?.status, one?.body.type]).to.deep.equal([
      400,
      "https://stellar.org/horizon-errors/bad_request",
    ]);
    expect(two?.body.extras.result_codes.operations).to.deep.equal(["op_already_exists"]);
  });
});

describe("sandbox: fee bumps", () => {
  it("apply the inner transaction at the outer account's cost, found by either hash", async () => {
    await using stage = await Stage.open();
    const [alice, bob, payer] = [stage.account(), stage.account(), stage.account()];
    const inner = stage.payment(alice, bob, "3", { memo: Memo.text("inner") });
    const bump = bumped(stage, inner, payer);
    stage.apply(bump);
    const hashes = [bump, inner].map((transaction) => Buffer.from(transaction.hash()).toString("hex"));
    for (const hash of hashes) {
      const { body } = await stage.json(`/transactions/${hash}`);
      expect(body.hash).to.equal(hash);
      expect(body.id).to.equal(hash);
      expect(body.memo).to.equal("inner");
      expect(body.fee_account).to.equal(payer.publicKey());
      expect(body.source_account).to.equal(alice.publicKey());
      expect([body.fee_charged, body.max_fee, body.inner_transaction.max_fee]).to.deep.equal([
        "200",
        "400",
        "100",
      ]);
      expect(body.fee_bump_transaction.hash).to.equal(hashes[0]);
      expect(body.inner_transaction.hash).to.equal(hashes[1]);
      const payments = await stage.server.payments().forTransaction(hash).call();
      expect(payments.records[0]?.transaction_hash).to.equal(hashes[0]);
    }
    expect(stage.network.accounts.get(alice.publicKey())?.balance).to.equal(997_0000000n);
  });

  it("say where it failed: outside, at the door, or inside, in a ledger", async () => {
    await using stage = await Stage.open();
    const [alice, bob, payer] = [stage.account(), stage.account(), stage.account()];
    const failing = stage.build(alice, [
      Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount: "5000" }),
    ]);
    expect(stage.codes(bumped(stage, failing, payer))).to.deep.equal({
      transaction: "tx_fee_bump_inner_failed",
      inner_transaction: "tx_failed",
      operations: ["op_underfunded"],
    });
    const unsigned = bumped(stage, stage.payment(alice, bob), payer, false);
    expect(stage.codes(unsigned)).to.deep.equal({ transaction: "tx_bad_auth" });
    const badInner = bumped(stage, stage.payment(alice, bob, "1", { signers: [] }), payer);
    expect(stage.codes(badInner)).to.deep.equal({
      transaction: "tx_fee_bump_inner_failed",
      inner_transaction: "tx_bad_auth",
    });
  });
});

function bumped(
  stage: Stage,
  inner: ReturnType<Stage["build"]>,
  payer: ReturnType<Stage["account"]>,
  sign = true,
): FeeBumpTransaction {
  const bump = TransactionBuilder.buildFeeBumpTransaction(payer, "200", inner, stage.network.passphrase);
  if (sign) bump.sign(payer);
  return bump;
}
