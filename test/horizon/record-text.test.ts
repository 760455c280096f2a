import { expect } from "chai";
import { keptOf, recordText } from "../../src/horizon/fields.js";

const KIB = 1024;
const CYCLE: { self?: unknown } = {};
CYCLE.self = CYCLE;

/** A record whose text has so many bytes. */
const ofBytes = (bytes: number, letter = "x") => {
  const room = bytes - JSON.stringify({ note: "" }).length;
  return { note: letter.repeat(room / Buffer.byteLength(letter)) };
};

describe("the auditor's copy of a record", () => {
  it("is all of it up to 64 KiB, counted in bytes", () => {
    for (const record of [ofBytes(64 * KIB), ofBytes(64 * KIB, "é")]) {
      expect(recordText(record)).to.deep.equal({ text: JSON.stringify(record), fits: true });
    }
    for (const record of [ofBytes(64 * KIB + 1), ofBytes(64 * KIB + 2, "é")]) {
      const { text, fits } = recordText(record);
      expect(fits).to.equal(false);
      expect(JSON.parse(text)).to.deep.equal({ truncated: JSON.stringify(record).slice(0, 4 * KIB) });
    }
  });

  it("is JSON, whatever the record is, and says where it is not the record", () => {
    for (const record of [null, 7, "x", [1], {}]) {
      expect(recordText(record)).to.deep.equal({ text: JSON.stringify(record), fits: true });
    }
    expect(recordText(undefined)).to.deep.equal({ text: "null", fits: true });
    const { text, fits } = recordText(CYCLE);
    expect(fits).to.equal(false);
    expect(JSON.parse(text).truncated).to.match(/circular/);
  });

  it("has neither links nor XDR, of the record and of its transaction, and all else", () => {
    const bulk = { _links: 1, envelope_xdr: 2, result_xdr: 3, result_meta_xdr: 4, fee_meta_xdr: 5 };
    expect(keptOf({ ...bulk, id: "7", transaction: { ...bulk, hash: "ab" } })).to.deep.equal({
      id: "7",
      transaction: { hash: "ab" },
    });
    for (const record of [{ transaction: null }, { transaction: [1] }, { id: "7" }, [1], null, "x"]) {
      expect(keptOf(record)).to.deep.equal(record);
    }
  });
});
