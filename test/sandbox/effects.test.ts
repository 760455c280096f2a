import { expect } from "chai";
import { type Json, Stage } from "./stage.js";

describe("sandbox: effects and value outside /payments", () => {
  const inject = (
    stage: Stage,
    type: string,
    account: string,
    ...changes: [asset: string, amount: string][]
  ) =>
    stage.post("/sandbox/injections", {
      kind: "outside",
      type,
      account,
      changes: changes.map(([asset, amount]) => ({ asset, amount })),
    });

  it("an account's effects are its own, in order, paged by operation and order, as Horizon's", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    for (const amount of ["1", "2", "3"]) stage.apply(stage.payment(alice, bob, amount));
    const effects = async (query: string): Promise<Json[]> =>
      (await stage.json(`/accounts/${bob.publicKey()}/effects?${query}`)).body._embedded.records;
    const all = await effects("limit=200");
    expect(all.map(({ type, amount = null }) => [type, amount])).to.deep.equal([
      ["account_created", null],
      ["signer_created", null],
      ["account_credited", "1.0000000"],
      ["account_credited", "2.0000000"],
      ["account_credited", "3.0000000"],
    ]);
    expect(all.every(({ account }) => account === bob.publicKey())).to.equal(true);
    const tokens = all.map(({ paging_token: token }) => token);
    const paged: string[] = [];
    for (let cursor = "0"; ; cursor = paged.at(-1) ?? "") {
      const page = await effects(`limit=1&cursor=${cursor}`);
      if (page.length === 0) break;
      paged.push(page[0].paging_token);
    }
    expect(paged).to.deep.equal(tokens);
    const [first = ""] = tokens;
    // An operation's id alone skips all its effects; with an order it skips those up to it.
    expect((await effects(`cursor=${first.split("-")[0]}`)).length).to.equal(3);
    expect((await effects(`cursor=${first}`)).length).to.equal(4);
    const newest = (await effects("order=desc&limit=2")).map(({ paging_token: token }) => token);
    expect(newest).to.deep.equal(tokens.slice(-2).reverse());
    const before = (await effects(`order=desc&cursor=${newest[1]}`)).map(({ paging_token: token }) => token);
    expect(before).to.deep.equal(tokens.slice(0, 3).reverse());
    const nobody = "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA";
    expect((await stage.json(`/accounts/${nobody}/effects`)).status).to.equal(404);
  });

  it("a balance is claimed: it has effects and an operation, and is neither in /payments nor a credit", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const alice = stage.account();
    const id = alice.publicKey();
    const { status, body } = await inject(stage, "claim_claimable_balance", id, ["native", "17"]);
    expect([status, body.successful]).to.deep.equal([201, true]);
    const [operation] = body.operation_ids;
    const { records } = (await stage.json(`/operations/${operation}/effects`)).body._embedded;
    expect(records.map(({ type, type_i: number }: Json) => [type, number])).to.deep.equal([
      ["claimable_balance_claimed", 52],
      ["account_credited", 2],
    ]);
    expect((await stage.json(`/operations/${operation}`)).body).to.include({
      type: "claim_claimable_balance",
      type_i: 15,
      source_account: id,
    });
    const payments = (await stage.json(`/accounts/${id}/payments`)).body._embedded.records;
    expect(payments.map(({ type }: Json) => type)).to.deep.equal(["create_account"]);
    expect(stage.network.credits.of(id)).to.have.length(1);
    expect(stage.network.accounts.get(id)?.balance).to.equal(1017_0000000n);
  });

  it("what no such operation could do is refused", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const id = stage.account().publicKey();
    for (const [type, ...changes] of [
      ["claim_claimable_balance", ["native", "-1"]],
      ["clawback", ["native", "-1"]],
      ["manage_sell_offer", ["native", "1"]],
      ["liquidity_pool_withdraw", ["native", "1"]],
      ["teleport", ["native", "1"]],
    ] as [string, ...[string, string][]][]) {
      expect((await inject(stage, type, id, ...changes)).status, type).to.equal(400);
    }
    // More than it has: in the ledger, and failed.
    const { status, body } = await inject(stage, "create_claimable_balance", id, ["native", "-5000"]);
    expect([status, body.successful]).to.deep.equal([201, false]);
  });
});
