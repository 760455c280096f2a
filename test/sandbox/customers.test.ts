import { Asset } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Customers } from "../../stage/sandbox/customers.js";
import { Stage } from "./stage.js";

describe("sandbox: customers", () => {
  it("are funded, hold a test USDC and pay by memo or muxed id, many at once", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const { url, network } = stage.sandbox;
    const customers = new Customers({ horizonUrl: url, passphrase: network.passphrase, count: 3 });
    const merchant = customers.key("merchant");
    await Promise.all([customers.fund(), customers.create(merchant.publicKey())]);
    const asset = await customers.issue("USDC", [merchant]);
    const destination = merchant.publicKey();
    const paid = await Promise.all([
      customers.pay({ destination, amount: "1", asset, memo: "order-1" }),
      customers.pay({ destination, amount: "2", asset, muxedId: "42" }),
      ...Array.from({ length: 6 }, () => customers.pay({ destination, amount: "0.5" })),
    ]);
    expect(new Set(paid.map(({ hash }) => hash)).size).to.equal(8);
    expect(await customers.balance(destination, asset)).to.equal("3.0000000");
    expect(await customers.balance(destination, Asset.native())).to.equal("10002.9999900");
    await Promise.all([customers.fund(), customers.issue("USDC", [merchant])]);
    expect(
      await customers.balance(customers.keys[0]?.publicKey() ?? "", asset),
      "repeating changes nothing",
    ).to.match(/^9999[89]\.0{7}$/);
  });

  it("find out what became of a payment when the answer lies", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const { url, network, faults } = stage.sandbox;
    const customers = new Customers({ horizonUrl: url, passphrase: network.passphrase, count: 1 });
    await customers.fund();
    const destination = stage.account().publicKey();
    for (const outcome of ["applied_504", "lost_504", "applied_bad_seq"] as const) {
      faults.add({ kind: "submit", outcome, count: 1 });
      await customers.pay({ destination, amount: "1" });
    }
    expect(network.accounts.get(destination)?.balance).to.equal(1003_0000000n);
    const refused = await customers.pay({ destination, amount: "99999" }).catch((thrown: unknown) => thrown);
    expect(String(refused)).to.contain("op_underfunded");
  });
});
