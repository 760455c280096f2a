import { expect } from "chai";
import fc from "fast-check";
import {
  formatStroops,
  formatSum,
  InvalidAmountError,
  MAX_STROOPS,
  parseStroops,
  toStroops,
  trimmedAmount,
} from "../../src/stellar/stroops.js";

describe("stroops", () => {
  it("sums and differences are written with their sign, and may pass an int64", () => {
    expect([0n, 1n, -1n, -10_000_000n, 2n ** 70n].map(formatSum)).to.deep.equal([
      "0.0000000",
      "0.0000001",
      "-0.0000001",
      "-1.0000000",
      "118059162071741.1303424",
    ]);
  });

  it("every int64 amount survives text and back, to the stroop", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, MAX_STROOPS), (value) => {
        const text = formatStroops(toStroops(value));
        expect(text).to.match(/^\d+\.\d{7}$/);
        expect(parseStroops(text)).to.equal(value);
      }),
    );
    for (const edge of [0n, 1n, 9_999_999n, 10_000_000n, MAX_STROOPS - 1n, MAX_STROOPS]) {
      expect(parseStroops(formatStroops(toStroops(edge)))).to.equal(edge);
    }
  });

  it("fewer than 7 decimals mean the same amount", () => {
    expect(parseStroops("12")).to.equal(120_000_000n);
    expect(parseStroops("12.34")).to.equal(123_400_000n);
    expect(parseStroops("0.0000001")).to.equal(1n);
  });

  it("people see no zeros that say nothing, and all others", () => {
    const trimmed = ["10.5000000", "100.0000000", "0.0000001", "1.0500000", "0.0000000"].map((text) =>
      trimmedAmount(parseStroops(text)),
    );
    expect(trimmed).to.deep.equal(["10.5", "100", "0.0000001", "1.05", "0"]);
  });

  it("a number is refused, whatever its value: it has been a float", () => {
    fc.assert(fc.property(fc.double(), (value) => refused(value)));
    refused(1n);
    refused(null);
  });

  const BAD = ["", ".", "1.", ".5", "-1", "+1", "1e3", "1E3", "1.00000001", "0x10", "1,5", " 1", "1 ", "1\n"];
  for (const text of [...BAD, "NaN", "Infinity", "1_0", "١", "1.2.3"]) {
    it(`${JSON.stringify(text)} is no amount`, () => refused(text));
  }

  it("one stroop over int64 is refused", () => {
    expect(parseStroops("922337203685.4775807")).to.equal(MAX_STROOPS);
    refused("922337203685.4775808");
    expect(() => toStroops(MAX_STROOPS + 1n)).to.throw(InvalidAmountError);
    expect(() => toStroops(-1n)).to.throw(InvalidAmountError);
  });
});

function refused(text: unknown): void {
  expect(() => parseStroops(text))
    .to.throw(InvalidAmountError)
    .with.property("name", "InvalidAmountError");
}
