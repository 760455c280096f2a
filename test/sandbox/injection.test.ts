import { Asset, xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { type Json, Stage } from "./stage.js";

describe("sandbox: injections", () => {
  it("put a contract call that moves value several times into a ledger, credits and all", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [alice, bob] = [stage.account(), stage.account()];
    const contract = Asset.native().contractId(stage.network.passphrase);
    const to = bob.publicKey();
    const { status, body } = await stage.post("/sandbox/injections", {
      kind: "host_function",
      changes: [
        { type: "transfer", asset: "native", amount: "1.5", from: alice.publicKey(), to },
        { type: "transfer", asset: "native", amount: "2", from: contract, to, destination_muxed_id: "9" },
        { type: "burn", asset: "native", amount: "1", from: alice.publicKey() },
      ],
    });
    expect([status, body.successful]).to.deep.equal([201, true]);
    const record = (await stage.json(`/accounts/${to}/payments?order=desc&limit=1`)).body._embedded
      .records[0];
    expect(record.id).to.equal(body.operation_ids[0]);
    expect(record).to.include({ type: "invoke_host_function", type_i: 24 });
    expect(record.asset_balance_changes).to.deep.equal([
      { asset_type: "native", type: "transfer", from: alice.publicKey(), to, amount: "1.5000000" },
      {
        asset_type: "native",
        type: "transfer",
        from: contract,
        to,
        amount: "2.0000000",
        destination_muxed_id: "9",
      },
      { asset_type: "native", type: "burn", from: alice.publicKey(), amount: "1.0000000" },
    ]);
    expect(stage.network.accounts.get(to)?.balance).to.equal(1003_5000000n);
    expect(stage.network.accounts.get(alice.publicKey())?.balance).to.equal(997_5000000n);
    const { credits } = (await stage.json(`/sandbox/credits?account=${to}`)).body;
    expect(
      credits.slice(1).map((credit: Json) => [credit.move_index, credit.amount, credit.muxed_id]),
    ).to.deep.equal([
      [0, "1.5000000", null],
      [1, "2.0000000", "9"],
    ]);
    const transaction = (await stage.json(`/transactions/${body.hash}`)).body;
    const envelope = xdr.TransactionEnvelope.fromXdr(transaction.envelope_xdr, "base64");
    expect(envelope.type).to.equal("envelopeTypeTx");
    expect(xdr.TransactionResult.fromXdr(transaction.result_xdr, "base64").result.type).to.equal("txSuccess");
  });

  it("put records into the feed that no one can read", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const bob = stage.account();
    const record = { type: "teleport", type_i: 99, amount: "1e400", to: bob.publicKey() };
    const garbled = { ...record, paging_token: "garbled" };
    await stage.post("/sandbox/injections", { kind: "record", accounts: [bob.publicKey()], record: garbled });
    const page = await stage.server.payments().forAccount(bob.publicKey()).order("desc").limit(1).call();
    expect(page.records[0]).to.include(record);
    expect(stage.network.credits.of(bob.publicKey())).to.have.length(1);
  });

  it("are refused before they could break a ledger", async () => {
    await using stage = await Stage.open();
    const to = stage.account().publicKey();
    for (const changes of [
      [{ type: "mint", asset: "nonsense", amount: "1", to }],
      [{ type: "mint", asset: "native", amount: "x", to }],
      [{ type: "mint", asset: "native", amount: "1", to: "nobody" }],
      [],
    ]) {
      const { status } = await stage.post("/sandbox/injections", { kind: "host_function", changes });
      expect(status).to.equal(400);
    }
  });
});
