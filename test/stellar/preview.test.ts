import { expect } from "chai";
import { preview } from "../../src/stellar/preview.js";

const CYCLE: { self?: unknown } = {};
CYCLE.self = CYCLE;

describe("what a message shows of a value", () => {
  const CASES: [unknown, string][] = [
    ["native", '"native"'],
    ["a\nb", '"a\\nb"'],
    ["x".repeat(81), `"${"x".repeat(80)}"`],
    [null, "null"],
    [7, "7"],
    [false, "false"],
    [undefined, "undefined"],
    [7n, "bigint"],
    [CYCLE, "object"],
  ];
  for (const [value, shown] of CASES) {
    it(`is short and on one line, and never fails: ${shown.slice(0, 20)}`, () => {
      expect(preview(value)).to.equal(shown);
    });
  }
});
