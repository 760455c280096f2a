import { expect } from "chai";
import { completeMerge, decodeRecord, type PendingMerge } from "../../src/horizon/decode.js";
import * as r from "./records.js";

describe("account merge", () => {
  it("waits for its amount, which only the operation's effects tell", () => {
    const { kind, ...pending } = pendingOf();
    expect(kind).to.equal("merge");
    expect(pending).to.include({
      operationId: r.ID,
      moveIndex: 0,
      from: r.PAYER,
      asset: "native",
      memo: "id:7",
    });
    expect(pending).to.not.have.property("amount");
  });

  it("is completed by the account's own native account_credited", () => {
    const others = [
      r.credited({ type: "account_debited", type_i: 3, account: r.PAYER }),
      r.credited({ account: r.PAYER, amount: "9.0000000" }),
      { type: "account_removed", type_i: 1 },
      null,
    ];
    const [credit, ...rest] = completeMerge(pendingOf(), [...others, r.credited()]);
    expect(rest).to.deep.equal([]);
    expect(credit).to.include({
      kind: "credit",
      amount: 3_552_904_739n,
      asset: "native",
      from: r.PAYER,
      moveIndex: 0,
    });
  });

  it("says how many effects were found where it is not the one", () => {
    const whyOf = (...effects: unknown[]) => completeMerge(pendingOf(), effects)[0];
    const why = (count: number) => `${count} account_credited effects of this merge, not 1`;
    expect(whyOf()).to.have.property("why", why(0));
    expect(whyOf(r.credited(), r.credited({ amount: "1.0000000" }))).to.have.property("why", why(2));
  });

  it("is credited once when the server repeats the effect", () => {
    const [credit, ...rest] = completeMerge(pendingOf(), [r.credited(), r.credited(), r.credited()]);
    expect(rest).to.deep.equal([]);
    expect(credit).to.include({ kind: "credit", amount: 3_552_904_739n });
  });

  it("keeps the effect with the record: without it the amount would have no evidence", () => {
    const [credit] = completeMerge(pendingOf(), [r.credited()]);
    const kept = JSON.parse(credit?.record ?? "");
    expect(kept.type).to.equal("account_merge");
    expect(kept.effects).to.have.length(1);
    expect(kept.effects[0]).to.include({ amount: "355.2904739" }).and.not.have.property("_links");
  });

  it("keeps the muxed id that was merged into", () => {
    const merge = decodeRecord(r.merge({ into_muxed: r.muxedAddress(r.US, 0n) }), r.US);
    expect(merge).to.include({ kind: "merge", muxed: "muxed:0" });
  });

  it("of an empty account brings nothing", () => {
    expect(completeMerge(pendingOf(), [r.credited({ amount: "0.0000000" })])).to.deep.equal([]);
  });

  const UNREADABLE: [string, unknown[]][] = [
    ["no effects", []],
    ["two credits", [r.credited(), r.credited({ paging_token: `${r.ID}-2` })]],
    ["one effect told with two amounts", [r.credited(), r.credited({ amount: "1.0000000" })]],
    ["another operation's effect", [r.credited({ paging_token: "12884905985-1" })]],
    ["an operation's whose id only begins like ours", [r.credited({ paging_token: `${r.ID}0-1` })]],
    ["an effect that only has the number of one", [r.credited({ type: "account_debited" })]],
    ["an effect that only has the name of one", [r.credited({ type_i: 3 })]],
    ["another account's effect", [r.credited({ account: r.PAYER })]],
    ["an effect whose place is no text", [r.credited({ paging_token: 7 })]],
    ["another asset", [r.credited({ asset_type: "credit_alphanum4" })]],
    ["an unreadable amount", [r.credited({ amount: 355.29 })]],
  ];
  for (const [name, effects] of UNREADABLE) {
    it(`is unreadable with ${name}`, () => {
      const [movement, ...rest] = completeMerge(pendingOf(), effects);
      expect(rest).to.deep.equal([]);
      expect(movement).to.include({
        kind: "unreadable",
        operationId: r.ID,
        moveIndex: 0,
        transactionHash: r.HASH,
      });
      expect(movement).to.not.have.property("amount");
    });
  }
});

function pendingOf(): PendingMerge {
  const decoded = decodeRecord(r.merge(), r.US);
  if (decoded.kind === "merge") return decoded;
  throw new Error("no merge");
}
