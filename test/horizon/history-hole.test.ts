import { expect } from "chai";
import fc from "fast-check";
import { findHistoryHole } from "../../src/horizon/history-hole.js";
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
