import { expect } from "chai";
import fc from "fast-check";
import { type CreditKey, compareKeys, creditKeyText, parseCreditKey } from "../../src/stellar/credit.js";
import type { OperationId } from "../../src/stellar/operation-id.js";

const keys: fc.Arbitrary<CreditKey> = fc.record({
  operationId: fc.bigInt(0n, 9_199_999_999_999_999_999n).map((id) => id as OperationId),
  moveIndex: fc.integer({ min: 0, max: 999_999_999 }),
});

describe("the key of a credit", () => {
  it("survives text and back", () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(parseCreditKey(creditKeyText(key))).to.deep.equal(key);
      }),
    );
  });

  const GOOD = [
    "0-0",
    "12884905985-2",
    "999999999999999999-0",
    "1000000000000000000-999999999",
    "8999999999999999999-0",
    "9199999999999999999-0",
  ];
  for (const text of GOOD) {
    it(`${text} is one`, () => {
      const [id = "", index] = text.split("-");
      expect(parseCreditKey(text)).to.deep.equal({ operationId: BigInt(id), moveIndex: Number(index) });
    });
  }

  const BAD = ["", "1", "1-", "-1", "x1-1", "1-1x", "1--1", "1-1234567890", "1.5-0", "1-0-0"];
  for (const text of [...BAD, "9200000000000000000-0", "10000000000000000000-0"]) {
    it(`${JSON.stringify(text)} is none: Postgres could not hold it`, () => {
      expect(parseCreditKey(text)).to.equal(null);
    });
  }

  it("the same key is neither before nor after itself", () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(compareKeys(key, { ...key })).to.equal(0);
      }),
    );
  });
});
