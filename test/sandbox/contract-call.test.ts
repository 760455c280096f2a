import {
  Account,
  Asset,
  type Keypair,
  Memo,
  MuxedAccount,
  nativeToScVal,
  Operation,
  type xdr,
} from "@stellar/stellar-sdk";
import { expect } from "chai";
import { type Json, Stage } from "./stage.js";

describe("sandbox: calls of an asset's contract", () => {
  it("transfer as a payment does, in the record's own words, to a muxed address too", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [alice, bob] = [stage.account(), stage.account()];
    const { asset, issuer } = stage.asset("USDC", [alice, bob]);
    const muxed = new MuxedAccount(new Account(bob.publicKey(), "0"), "18446744073709551615").accountId();
    const lumens = await submit(
      stage,
      alice,
      call(stage, Asset.native(), "transfer", [alice, bob, 25_000_000n]),
    );
    expect(lumens.status).to.equal(200);
    await submit(stage, alice, call(stage, asset, "transfer", [alice, muxed, 5n]));
    await submit(stage, issuer, call(stage, asset, "transfer", [issuer, bob, 7n]));
    await submit(stage, bob, call(stage, asset, "transfer", [bob, issuer, 3n]));
    await submit(stage, bob, call(stage, asset, "burn", [bob, 2n]));
    await submit(stage, issuer, call(stage, asset, "clawback", [bob, 1n]));
    await submit(stage, alice, call(stage, Asset.native(), "transfer", [alice, bob, 0n]));
    const path = `/accounts/${bob.publicKey()}/payments?order=desc&limit=7`;
    const { records } = (await stage.json(path)).body._embedded;
    const fields = { asset_type: "credit_alphanum4", asset_code: "USDC", asset_issuer: issuer.publicKey() };
    const [from, to] = [alice.publicKey(), bob.publicKey()];
    expect(records.toReversed().flatMap((record: Json) => record.asset_balance_changes)).to.deep.equal([
      { asset_type: "native", type: "transfer", from, to, amount: "2.5000000" },
      {
        ...fields,
        type: "transfer",
        from,
        to,
        amount: "0.0000005",
        destination_muxed_id: "18446744073709551615",
      },
      { ...fields, type: "mint", to, amount: "0.0000007" },
      { ...fields, type: "burn", from: to, amount: "0.0000003" },
      { ...fields, type: "burn", from: to, amount: "0.0000002" },
      { ...fields, type: "clawback", from: to, amount: "0.0000001" },
      { asset_type: "native", type: "transfer", from, to, amount: "0.0000000" },
    ]);
    const entry = stage.network.accounts.get(to);
    const line = [...(entry?.trustlines.values() ?? [])][0];
    expect(line?.balance).to.equal(1000_0000000n + 5n + 7n - 3n - 2n - 1n);
    expect(stage.network.credits.of(to).map(({ muxed_id }) => muxed_id)).to.include("18446744073709551615");
  });

  it("trap, and move nothing, where the network's would", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const { asset } = stage.asset("USDC", [alice]);
    const cases: [string, xdr.Operation][] = [
      ["somebody else's money", call(stage, Asset.native(), "transfer", [bob, alice, 1n])],
      ["more than there is", call(stage, Asset.native(), "transfer", [alice, bob, 10n ** 12n])],
      ["less than nothing", call(stage, Asset.native(), "transfer", [alice, bob, -1n])],
      ["more than an account can hold", call(stage, Asset.native(), "transfer", [alice, bob, 2n ** 63n])],
      ["no trustline", call(stage, asset, "transfer", [alice, bob, 1n])],
      ["not the issuer", call(stage, asset, "mint", [alice, 1n])],
      ["no such contract", call(stage, new Asset("EUR", bob.publicKey()), "transfer", [alice, bob, 1n])],
    ];
    for (const [why, operation] of cases) {
      expect(stage.codes(stage.build(alice, [operation])), why).to.deep.equal({
        transaction: "tx_failed",
        operations: ["function_trapped"],
      });
    }
    expect(stage.network.accounts.get(bob.publicKey())?.balance).to.equal(1000_0000000n);
  });

  it("are refused with a memo, a muxed source, another operation, and what is no call of an asset's", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const muxed = new MuxedAccount(new Account(alice.publicKey(), "0"), "7").accountId();
    const transfer = (source?: string) => call(stage, Asset.native(), "transfer", [alice, bob, 1n], source);
    const refused = (operations: xdr.Operation[], memo: Memo = Memo.none()) =>
      stage.codes(stage.build(alice, operations, { memo, fee: "200" }))?.transaction;
    expect(refused([transfer()], Memo.text("order"))).to.equal("tx_soroban_invalid");
    expect(refused([transfer(muxed)])).to.equal("tx_soroban_invalid");
    expect(refused([transfer(), transfer()])).to.equal("tx_malformed");
    const unknown = call(stage, Asset.native(), "approve", [alice, bob, 1n]);
    expect(stage.codes(stage.build(alice, [unknown]))?.operations).to.deep.equal(["op_not_supported"]);
    expect(refused([transfer(alice.publicKey())])).to.equal(undefined);
  });
});

type Argument = Keypair | string | bigint;

function call(stage: Stage, asset: Asset, name: string, args: Argument[], source?: string): xdr.Operation {
  return Operation.invokeContractFunction({
    contract: asset.contractId(stage.network.passphrase),
    function: name,
    args: args.map((value) =>
      typeof value === "bigint"
        ? nativeToScVal(value, { type: "i128" })
        : nativeToScVal(typeof value === "string" ? value : value.publicKey(), { type: "address" }),
    ),
    ...(source === undefined ? {} : { source }),
  });
}

async function submit(stage: Stage, source: Keypair, operation: xdr.Operation) {
  const answer = await stage.submitForm("/transactions", stage.build(source, [operation]));
  expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
  return answer;
}
