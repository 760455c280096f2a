import { expect } from "chai";
import { decodeRecord } from "../../src/horizon/decode.js";
import type { Movement } from "../../src/stellar/credit.js";
import * as r from "./records.js";

describe("a host function's moves", () => {
  it("one operation that pays twice is two credits, told apart by their place in the list", () => {
    const moves = [r.change("transfer"), r.change("transfer", { to: r.PAYER }), r.change("transfer")];
    expect(keysOf(decode(moves))).to.deep.equal(["credit 0", "credit 2"]);
  });

  it("a move's index does not depend on its neighbours' fate", () => {
    const last = r.change("transfer", { amount: "3.0000000" });
    for (const other of [
      r.change("burn"),
      r.change("mint"),
      r.change("transfer", { amount: "?" }),
      null,
      7,
    ]) {
      expect(keysOf(decode([other, last]))).to.include("credit 1");
    }
  });

  it("a poisoned move is unreadable alone; the others are credited", () => {
    const moves = [r.change("transfer"), r.change("transfer", { asset_issuer: 7 }), r.change("mint")];
    expect(keysOf(decode(moves))).to.deep.equal(["credit 0", "unreadable 1", "credit 2"]);
  });

  it("what all moves share being broken makes each its own unreadable, under its own key", () => {
    const record = {
      ...r.hostFunction([r.change("transfer"), r.change("burn"), r.change("mint")]),
      created_at: "?",
    };
    expect(keysOf(decodeAll(record))).to.deep.equal(["unreadable 0", "unreadable 2"]);
  });

  it("transfer and mint bring value; a mint comes from nobody", () => {
    expect(decode([r.change("transfer")])[0]).to.include({ kind: "credit", from: r.CONTRACT });
    expect(decode([r.change("mint", { from: undefined })])[0]).to.include({ kind: "credit", from: null });
  });

  it("burn, clawback, a move to others, to oneself, and of nothing bring none", () => {
    const nothing = [
      r.change("burn", { from: r.US, to: undefined }),
      r.change("clawback", { from: r.US, to: undefined }),
      r.change("transfer", { to: r.CONTRACT }),
      r.change("transfer", { from: r.US }),
      r.change("transfer", { amount: "0.0000000" }),
    ];
    expect(decode(nothing)).to.deep.equal([]);
    expect(decode([])).to.deep.equal([]);
  });

  const BROKEN: [string, unknown][] = [
    ["an unknown change", r.change("conjure")],
    ["a transfer from nobody", r.change("transfer", { from: undefined })],
    ["a transfer to nobody", r.change("transfer", { to: undefined })],
    ["no object", null],
    ["a muxed id that is no uint64", r.change("transfer", { destination_muxed_id: "x" })],
    ["a muxed id that lost digits", r.change("transfer", { destination_muxed_id: 2 ** 60 })],
    [
      "another kind of muxed id",
      r.change("transfer", { destination_muxed_id: "ab", destination_muxed_id_type: "bytes" }),
    ],
  ];
  for (const [name, change] of BROKEN) {
    it(`${name} is unreadable`, () => expect(keysOf(decode([change]))).to.deep.equal(["unreadable 0"]));
  }

  it("says of each what is wrong with it", () => {
    const WHY: [unknown, RegExp][] = [
      [r.change("conjure"), /"conjure" is not known/],
      [null, /holds no object/],
      [r.change("transfer", { from: undefined }), /from is no address/],
      [r.change("mint", { from: "nobody" }), /from is no address/],
      [
        r.change("transfer", { destination_muxed_id: "7", destination_muxed_id_type: "text" }),
        /destination_muxed_id_type "text" is not known/,
      ],
    ];
    for (const [change, why] of WHY)
      expect(decode([change])[0])
        .to.have.property("why")
        .that.matches(why);
    expect(decodeAll(r.hostFunction(null))[0]).to.have.property("why", "asset_balance_changes is missing");
  });

  it("a list that is missing is unreadable: what moved can't be known", () => {
    for (const changes of [undefined, null, {}, "[]"]) {
      expect(keysOf(decodeAll(r.hostFunction(changes)))).to.deep.equal(["unreadable 0"]);
    }
  });

  it("the muxed id of the destination is read, as text or as an exact number", () => {
    const id = "18446744073709551615";
    const typed = { destination_muxed_id: id, destination_muxed_id_type: "uint64" };
    expect(decode([r.change("transfer", typed)])[0]).to.include({ muxed: `muxed:${id}` });
    expect(decode([r.change("transfer", { destination_muxed_id: 7 })])[0]).to.include({ muxed: "muxed:7" });
  });
});

function decode(changes: unknown[]): readonly Movement[] {
  return decodeAll(r.hostFunction(changes));
}

function decodeAll(record: r.Json): readonly Movement[] {
  const decoded = decodeRecord(record, r.US);
  return decoded.kind === "movements" ? decoded.movements : [];
}

function keysOf(movements: readonly Movement[]): string[] {
  return movements.map(({ kind, moveIndex }) => `${kind} ${moveIndex}`);
}
