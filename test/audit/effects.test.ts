import { expect } from "chai";
import { changesByOperation, placeEffects } from "../../src/audit/effects.js";
import { explain, isUnclear, transactionOf } from "../../src/audit/flows.js";
import { FieldError } from "../../src/horizon/fields.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { BEFORE_ALL, type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { newAccount } from "../support/books.js";

describe("audit: what effects do to balances", () => {
  const [account, issuer, other] = [newAccount(), newAccount(), newAccount()];
  const usd = { asset_type: "credit_alphanum4", asset_code: "USD", asset_issuer: issuer };
  const ID = toOperationId(7, 2, 1);
  const effect = (order: number, type: string, fields: object, of: string = account) => ({
    paging_token: `${ID}-${order}`,
    account: of,
    type,
    ...fields,
  });
  const trade = (order: number) =>
    effect(order, "trade", {
      sold_amount: "5.0000000",
      sold_asset_type: "native",
      bought_amount: "2.0000000",
      bought_asset_type: usd.asset_type,
      bought_asset_code: usd.asset_code,
      bought_asset_issuer: usd.asset_issuer,
    });
  const changes = (...effects: object[]) =>
    changesByOperation(placeEffects(effects, BEFORE_ALL), account).flatMap(({ changes: each }) =>
      each.map(({ asset, amount, by }) => [asset.split(":")[0], amount, by]),
    );
  const context = (operations: [OperationId, object][] = [], own: OperationId[] = []) => ({
    account,
    booked: new Set<OperationId>(),
    own: new Set(own),
    operations: new Map(operations.map(([id, record]) => [id, record as Record<string, unknown>])),
  });

  it("a trade changes both balances; on the way of a path payment of one's own it changes none once more", () => {
    expect(changes(trade(1))).to.deep.equal([
      ["native", -50_000_000n, "trade"],
      ["USD", 20_000_000n, "trade"],
    ]);
    const debited = effect(2, "account_debited", { asset_type: "native", amount: "5.0000000" });
    expect(changes(debited, trade(3))).to.deep.equal([["native", -50_000_000n, "moved"]]);
    // Somebody's path payment to the account over its own offer: both count.
    const credited = effect(1, "account_credited", { ...usd, amount: "1.0000000" });
    expect(changes(credited, trade(2))).to.have.length(3);
  });

  it("what a contract holds, and what others have, is not the account's", () => {
    const fields = { asset_type: "native", amount: "5.0000000" };
    expect(
      changes(effect(1, "contract_credited", fields), effect(2, "contract_debited", fields)),
    ).to.deep.equal([]);
    expect(changes(effect(1, "account_credited", fields, other))).to.deep.equal([]);
  });

  it("an effect without a place or an amount is an error, never nothing", () => {
    expect(() => placeEffects([{ account, type: "trade" }], BEFORE_ALL)).to.throw(FieldError);
    expect(() => changes(effect(1, "account_credited", { asset_type: "native" }))).to.throw();
  });

  it("a swap with oneself is no value from outside the account, and is named in both assets", () => {
    const operations = changesByOperation(
      placeEffects(
        [
          effect(1, "account_credited", { ...usd, amount: "2.0000000" }),
          effect(2, "account_debited", { asset_type: "native", amount: "5.0000000" }),
          trade(3),
        ],
        BEFORE_ALL,
      ),
      account,
    );
    const record = { type: "path_payment_strict_send", from: account, to: account };
    const { outside, unbooked, flows } = explain(
      operations,
      [],
      context([[ID, record]], [transactionOf(ID)]),
    );
    expect(unbooked).to.deep.equal([]);
    expect(outside.map(({ type, amount }) => [type, amount])).to.deep.equal([
      ["path_payment_strict_send", 20_000_000n],
      ["path_payment_strict_send", -50_000_000n],
    ]);
    expect(flows.get(NATIVE)).to.deep.equal({ credited: 0n, sent: 0n, outside: -50_000_000n, fees: 0n });
  });

  it("only its record tells what took from an account that has not sent the transaction", () => {
    const effects = [effect(1, "account_debited", { ...usd, amount: "2.0000000" })];
    const operations = changesByOperation(placeEffects(effects, BEFORE_ALL), account);
    const [operation] = operations;
    if (operation === undefined) throw new Error("no operation");
    expect(isUnclear(operation, context())).to.equal(true);
    expect(isUnclear(operation, context([], [transactionOf(ID)]))).to.equal(false);
    const typeBy = (record: object) =>
      explain(operations, [], context([[ID, record]])).outside.map(({ type }) => type);
    expect(typeBy({ type: "clawback" })).to.deep.equal(["clawback"]);
    const clawed = { type: "clawback", from: account };
    expect(typeBy({ type: "invoke_host_function", asset_balance_changes: [clawed] })).to.deep.equal([
      "clawback",
    ]);
    expect(typeBy({ type: "payment", from: account, to: other })).to.deep.equal([]);
    expect(typeBy({ type: "a_type_of_2030" })).to.deep.equal(["a_type_of_2030"]);
  });

  it("an issuer has no balance of its own asset", () => {
    const own = { asset_type: "credit_alphanum4", asset_code: "OWN", asset_issuer: account };
    const effects = [effect(1, "account_credited", { ...own, amount: "2.0000000" })];
    const operations = changesByOperation(placeEffects(effects, BEFORE_ALL), account);
    const { flows, outside } = explain(operations, [], context());
    expect([flows.size, outside]).to.deep.equal([0, []]);
  });
});
