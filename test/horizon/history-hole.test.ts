import { expect } from "chai";
import fc from "fast-check";
import { describeHole, findHistoryHole, mayBeForgottenSince } from "../../src/horizon/reach.js";
import {
  BEFORE_ALL,
  endOfLedger,
  type LedgerSequence,
  type OperationId,
  toOperationId,
} from "../../src/stellar/operation-id.js";

const L = 1000 as LedgerSequence;

describe("a hole in the server's history", () => {
  const hole = (cursor: OperationId, elder: number) =>
    findHistoryHole(cursor, { historyElderLedger: elder as LedgerSequence });

  const CASES: [string, OperationId, number, [number, number] | null][] = [
    ["cursor at the end of a ledger, the next is still there", endOfLedger(L), L + 1, null],
    ["cursor at the end of a ledger, the next is gone", endOfLedger(L), L + 2, [L + 1, L + 1]],
    ["cursor at the end of a ledger, many are gone", endOfLedger(L), L + 101, [L + 1, L + 100]],
    ["cursor in a ledger that is still there", toOperationId(L, 1, 1), L, null],
    ["cursor in a ledger that has just gone: its rest may be lost", toOperationId(L, 1, 1), L + 1, [L, L]],
    ["cursor at the beginning of a ledger that has gone", toOperationId(L, 0, 0), L + 1, [L, L]],
    ["one before the end is not the end", (endOfLedger(L) - 1n) as OperationId, L + 1, [L, L]],
    ["cursor far ahead of the oldest ledger", toOperationId(L, 1, 1), 2, null],
    ["cursor before everything, full history", BEFORE_ALL, 1, null],
    ["cursor before everything, history from the first ledger with operations", BEFORE_ALL, 2, null],
    ["cursor before everything, history cut", BEFORE_ALL, 3, [2, 2]],
    ["a server that has ingested nothing is behind, not cut", toOperationId(L, 1, 1), 0, null],
  ];
  for (const [name, cursor, elder, expected] of CASES) {
    it(`${name}: ${expected === null ? "none" : `${expected[0]} to ${expected[1]}`}`, () => {
      const found = hole(cursor, elder);
      expect(found).to.deep.equal(expected && { missingFrom: expected[0], missingTo: expected[1] });
    });
  }

  it("there is one exactly if some operation after the cursor can lie in a ledger that is gone", () => {
    const ledgers = fc.integer({ min: 2, max: 2 ** 31 - 3 });
    const rests = fc.oneof(fc.bigInt(0n, 2n ** 32n - 1n), fc.constant(2n ** 32n - 1n));
    fc.assert(
      fc.property(ledgers, rests, fc.integer({ min: -3, max: 3 }), (ledger, rest, distance) => {
        const cursor = ((BigInt(ledger) << 32n) | rest) as OperationId;
        const elder = Math.max(2, ledger + distance);
        const lastGone = endOfLedger((elder - 1) as LedgerSequence);
        expect(hole(cursor, elder) !== null).to.equal(cursor < lastGone);
      }),
    );
  });
});

describe("what a server may have forgotten since it was asked", () => {
  const ledger = (n: number) => n as LedgerSequence;
  const may = (elder: number, newest: number, cursor: number, reached = cursor) =>
    mayBeForgottenSince(
      { historyElderLedger: ledger(elder), historyLatestLedger: ledger(newest) },
      toOperationId(cursor, 1, 1),
      toOperationId(reached, 1, 1),
    );

  it("is a day's ledgers at its old end, of a long history", () => {
    expect(may(1_000, 1_000_000, 20_999)).to.equal(true);
    expect(may(1_000, 1_000_000, 21_000)).to.equal(false);
  });

  it("is three quarters of a short history, both ends counted", () => {
    expect([may(1_001, 2_000, 1_750), may(1_001, 2_000, 1_751)]).to.deep.equal([true, false]);
    expect([may(2, 5, 4), may(2, 5, 5)], "four ledgers").to.deep.equal([true, false]);
  });

  it("counts ledgers that came after the root was read", () => {
    expect(may(1_001, 2_000, 1_751, 3_000)).to.equal(true);
    expect(may(1_001, 3_000, 1_751, 2_000)).to.equal(true);
  });

  it("is told with the ledgers and both ways on", () => {
    const told = describeHole({ missingFrom: ledger(7), missingTo: ledger(9) });
    expect(told).to.match(
      /^the server no longer has ledgers 7 to 9, .* skipped in silence\. Set HORIZON_URL /,
    );
    expect(told).to.match(/or accept the hole on the record: paidonce accept-hole$/);
  });
});
