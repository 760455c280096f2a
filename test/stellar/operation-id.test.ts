import { expect } from "chai";
import fc from "fast-check";
import { compareKeys, creditKeyText, type Movement } from "../../src/stellar/credit.js";
import {
  endOfLedger,
  InvalidOperationIdError,
  type LedgerSequence,
  ledgerOf,
  parseOperationId,
  toOperationId,
} from "../../src/stellar/operation-id.js";

const ledgers = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const transactions = fc.integer({ min: 0, max: 2 ** 20 - 1 });
const operations = fc.integer({ min: 0, max: 2 ** 12 - 1 });

describe("operation id", () => {
  it("a TOID survives text and back and names its ledger", () => {
    fc.assert(
      fc.property(ledgers, transactions, operations, (ledger, transaction, operation) => {
        const id = toOperationId(ledger, transaction, operation);
        expect(parseOperationId(`${id}`)).to.equal(id);
        expect(ledgerOf(id)).to.equal(ledger);
      }),
    );
  });

  it("a real id reads as documented", () => {
    expect(ledgerOf(parseOperationId("12884905985"))).to.equal(3);
    expect(toOperationId(3, 1, 1)).to.equal(12884905985n);
  });

  it("ids order as the network did: ledger, transaction, operation", () => {
    const place = fc.tuple(ledgers, transactions, operations);
    fc.assert(
      fc.property(place, place, (a, b) => {
        const order = a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
        const [x, y] = [toOperationId(...a), toOperationId(...b)];
        expect(
          Math.sign(compareKeys({ operationId: x, moveIndex: 0 }, { operationId: y, moveIndex: 0 })),
        ).to.equal(Math.sign(order));
      }),
    );
  });

  it("the end of a ledger is after all of it and before all of the next", () => {
    fc.assert(
      fc.property(ledgers, transactions, operations, (ledger, transaction, operation) => {
        const end = endOfLedger(ledger as LedgerSequence);
        expect(ledgerOf(end)).to.equal(ledger);
        expect(toOperationId(ledger, transaction, operation) <= end).to.equal(true);
        expect(toOperationId(ledger + 1, 0, 0)).to.equal(end + 1n);
      }),
    );
  });

  for (const text of [
    12884905985,
    "",
    "-1",
    "1.0",
    "1e3",
    " 1",
    "0x1",
    "9223372036854775808",
    null,
    undefined,
    1n,
  ]) {
    it(`${typeof text} ${String(text)} is no id`, () => {
      expect(() => parseOperationId(text))
        .to.throw(InvalidOperationIdError)
        .with.property("name", "InvalidOperationIdError");
    });
  }

  it("the greatest is the greatest int64", () => {
    expect(parseOperationId("9223372036854775807")).to.equal(2n ** 63n - 1n);
  });

  it("moves of one operation are told apart and ordered by index", () => {
    const key = (moveIndex: number): Pick<Movement, "operationId" | "moveIndex"> => ({
      operationId: toOperationId(3, 1, 1),
      moveIndex,
    });
    expect([key(2), key(0), key(1)].sort(compareKeys).map(creditKeyText)).to.deep.equal([
      "12884905985-0",
      "12884905985-1",
      "12884905985-2",
    ]);
  });
});
