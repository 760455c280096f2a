import { Account, Asset, Keypair, Memo, Operation, TransactionBuilder, xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Stage } from "./stage.js";

const NOW = Math.floor(Date.now() / 1000);

describe("sandbox: result codes", () => {
  it("refuses transactions at the door as stellar-core does", async () => {
    await using stage = await Stage.open();
    const [alice, bob, eve] = [stage.account(), stage.account(), stage.account()];
    const poor = stage.account("1");
    const pay = (options = {}) => stage.payment(alice, bob, "1", options);
    const sequence = stage.network.sequenceOf(alice.publicKey()) ?? 0n;
    const cases: [string, ReturnType<typeof pay>][] = [
      ["tx_bad_seq", pay({ sequence })],
      ["tx_bad_seq", pay({ sequence: sequence + 2n })],
      ["tx_too_late", pay({ bounds: { minTime: 0, maxTime: NOW - 100 } })],
      ["tx_too_early", pay({ bounds: { minTime: NOW + 1_000_000, maxTime: 0 } })],
      ["tx_insufficient_fee", pay({ fee: "99" })],
      ["tx_insufficient_balance", stage.payment(poor, bob, "1", { fee: "100" })],
      ["tx_no_source_account", stage.payment(Keypair.random(), bob)],
      ["tx_bad_auth", pay({ signers: [] })],
      ["tx_bad_auth", pay({ signers: [eve] })],
      ["tx_bad_auth_extra", pay({ signers: [alice, eve] })],
    ];
    for (const [code, transaction] of cases) {
      expect(stage.codes(transaction), code).to.deep.equal({ transaction: code });
    }
    expect(stage.codes(withoutOperations(stage, alice))).to.deep.equal({
      transaction: "tx_missing_operation",
    });
    expect(stage.codes(pay()), "the account's number is still free").to.equal(null);
  });

  it("names what each operation failed with", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const { asset, issuer } = stage.asset("USDC", [alice]);
    const nobody = Keypair.random().publicKey();
    const [a, b] = [alice.publicKey(), bob.publicKey()];
    const full = stage.account();
    stage.apply(stage.build(full, [Operation.changeTrust({ asset, limit: "5" })]));
    const lumens = Asset.native();
    const path = { sendAsset: asset, destAsset: lumens, destination: b };
    const cases: [string, Keypair, xdr.Operation][] = [
      ["op_underfunded", alice, Operation.payment({ destination: b, asset: lumens, amount: "5000" })],
      [
        "op_underfunded",
        alice,
        Operation.payment({ destination: issuer.publicKey(), asset, amount: "5000" }),
      ],
      ["op_no_trust", alice, Operation.payment({ destination: b, asset, amount: "1" })],
      ["op_src_no_trust", bob, Operation.payment({ destination: a, asset, amount: "1" })],
      ["op_no_destination", alice, Operation.payment({ destination: nobody, asset: lumens, amount: "1" })],
      ["op_line_full", alice, Operation.payment({ destination: full.publicKey(), asset, amount: "6" })],
      ["op_already_exists", alice, Operation.createAccount({ destination: b, startingBalance: "5" })],
      ["op_low_reserve", alice, Operation.createAccount({ destination: nobody, startingBalance: "0.9" })],
      ["op_underfunded", alice, Operation.createAccount({ destination: nobody, startingBalance: "9000" })],
      ["op_malformed", alice, Operation.createAccount({ destination: a, startingBalance: "5" })],
      ["op_no_account", alice, Operation.accountMerge({ destination: nobody })],
      ["op_has_sub_entries", alice, Operation.accountMerge({ destination: b })],
      ["op_malformed", alice, Operation.accountMerge({ destination: a })],
      ["op_no_issuer", alice, Operation.changeTrust({ asset: new Asset("EUR", nobody) })],
      ["op_invalid_limit", alice, Operation.changeTrust({ asset, limit: "1" })],
      ["op_malformed", issuer, Operation.changeTrust({ asset })],
      ["op_data_name_not_found", alice, Operation.manageData({ name: "x", value: null })],
      [
        "op_too_few_offers",
        alice,
        Operation.pathPaymentStrictSend({ ...path, sendAmount: "1", destMin: "1" }),
      ],
      [
        "op_too_few_offers",
        alice,
        Operation.pathPaymentStrictReceive({ ...path, sendMax: "1", destAmount: "1" }),
      ],
      ["op_not_supported", alice, Operation.bumpSequence({ bumpTo: "1" })],
    ];
    for (const [code, source, operation] of cases) {
      const transaction = stage.build(source, [operation]);
      expect(stage.codes(transaction), code).to.deep.equal({ transaction: "tx_failed", operations: [code] });
    }
  });

  it("holds path payments to their limits, at fixed prices", async () => {
    const issuer = Keypair.random();
    const prices = [{ send: "native", receive: `USDC:${issuer.publicKey()}`, price: "0.25" }];
    await using stage = await Stage.open({ prices });
    const [alice, bob] = [stage.account(), stage.account()];
    const { asset } = stage.asset("USDC", [bob], "0", issuer);
    const path = { sendAsset: Asset.native(), destAsset: asset, destination: bob.publicKey() };
    const send = (sendAmount: string, destMin: string) =>
      stage.build(alice, [Operation.pathPaymentStrictSend({ ...path, sendAmount, destMin })]);
    const receive = (sendMax: string, destAmount: string) =>
      stage.build(alice, [Operation.pathPaymentStrictReceive({ ...path, sendMax, destAmount })]);
    expect(stage.codes(send("4", "1.0000001"))?.operations).to.deep.equal(["op_under_dest_min"]);
    expect(stage.codes(receive("3.9999999", "1"))?.operations).to.deep.equal(["op_over_source_max"]);
    const [sent, received] = [stage.apply(send("4", "1")), stage.apply(receive("8", "1.5"))];
    expect(sent.operations[0]?.details).to.include({ amount: "1.0000000", source_amount: "4.0000000" });
    expect(received.operations[0]?.details).to.include({ amount: "1.5000000", source_amount: "6.0000000" });
    const line = stage.network.accounts.get(bob.publicKey())?.trustlines.values().next().value;
    expect(line?.balance).to.equal(2_5000000n);
  });

  it("rolls everything back when one operation fails, but charges fee and sequence number", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const before = stage.network.sequenceOf(alice.publicKey()) ?? 0n;
    const pay = (amount: string) =>
      Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount });
    const failed = stage.apply(
      stage.build(alice, [pay("1"), pay("5000"), pay("2")], { memo: Memo.text("m") }),
    );
    expect(failed.successful).to.equal(false);
    expect(failed.resultCodes.operations).to.deep.equal(["op_success", "op_underfunded", "op_success"]);
    expect(failed.body.memo).to.equal("m");
    const entry = stage.network.accounts.get(alice.publicKey());
    expect(entry?.balance).to.equal(1000_0000000n - 300n);
    expect(entry?.sequence).to.equal(before + 1n);
    expect(stage.network.accounts.get(bob.publicKey())?.balance).to.equal(1000_0000000n);
    expect(stage.network.credits.of(bob.publicKey())).to.have.length(1);
  });

  it("writes genuine result XDR for every code", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const failed = stage.apply(stage.payment(alice, bob, "5000"));
    const result = xdr.TransactionResult.fromXdr(String(failed.body.result_xdr), "base64");
    expect(result.feeCharged).to.equal(100n);
    expect(result.result.type).to.equal("txFailed");
    const merged = stage.apply(
      stage.build(alice, [Operation.accountMerge({ destination: bob.publicKey() })]),
    );
    const wire = xdr.TransactionResult.fromXdr(String(merged.body.result_xdr), "base64").toXdrObject();
    expect(JSON.stringify(wire, (_, value) => (typeof value === "bigint" ? `${value}` : value))).to.contain(
      `"sourceAccountBalance":"${1000_0000000n - 200n}"`,
    );
  });

  it("asks every operation's source for its signature", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const operation = Operation.payment({
      source: bob.publicKey(),
      destination: alice.publicKey(),
      asset: Asset.native(),
      amount: "1",
    });
    expect(stage.codes(stage.build(alice, [operation]))?.operations).to.deep.equal(["op_bad_auth"]);
    expect(stage.codes(stage.build(alice, [operation], { signers: [alice, bob] }))).to.equal(null);
  });
});

function withoutOperations(stage: Stage, source: Keypair) {
  const sequence = (stage.network.sequenceOf(source.publicKey()) ?? 0n).toString();
  const transaction = new TransactionBuilder(new Account(source.publicKey(), sequence), {
    fee: "100",
    networkPassphrase: stage.network.passphrase,
  })
    .setTimeout(0)
    .build();
  transaction.sign(source);
  return transaction;
}
