import { expect } from "chai";
import { toOperationId } from "../../src/stellar/operation-id.js";
import { Stage } from "./stage.js";

describe("sandbox: retention", () => {
  it("moves an ascending cursor to the oldest ledger in silence, and refuses the rest with 410", async () => {
    await using stage = await Stage.open({ retention: 3 });
    const [alice, bob] = [stage.account(), stage.account()];
    const early = stage.apply(stage.payment(alice, bob, "1"));
    stage.network.closeLedger();
    const kept = stage.apply(stage.payment(alice, bob, "2"));
    stage.network.closeLedger();
    const { body: root } = await stage.json("/");
    expect(root.history_elder_ledger).to.equal(root.history_latest_ledger - 2);

    const old = toOperationId(early.ledger, 0, 0);
    for (const path of ["/payments", `/accounts/${bob.publicKey()}/payments`]) {
      const { status, body } = await stage.json(`${path}?cursor=${old}`);
      expect(status).to.equal(200);
      expect(body._embedded.records.map(({ id }: { id: string }) => id)).to.deep.equal([
        kept.operations[0]?.id.toString(),
      ]);
    }
    for (const path of [
      `/payments?order=desc&cursor=${old}`,
      `/operations/${early.operations[0]?.id}`,
      `/ledgers/${early.ledger}`,
      `/ledgers/${early.ledger}/payments`,
    ]) {
      const { status, body } = await stage.json(path);
      expect([status, body.type], path).to.deep.equal([
        410,
        "https://stellar.org/horizon-errors/before_history",
      ]);
    }
    expect((await stage.json(`/transactions/${early.hash}`)).status).to.equal(404);
    const desc = await stage.json("/payments?order=desc");
    expect(desc.body._embedded.records).to.have.length(1);
    expect(stage.network.credits.of(bob.publicKey()), "the auditor's ledger is kept whole").to.have.length(3);
  });
});
