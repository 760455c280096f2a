import { expect } from "chai";
import fc from "fast-check";
import type { BookedCredit } from "../../src/audit/books.js";
import { compareCredits } from "../../src/audit/compare-credits.js";
import { idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { referenceOf, referenceOfKey } from "../../src/stellar/reference.js";
import { aSession, creditFor, newAccount } from "../support/books.js";

const owner = { account: newAccount(), merchantId: "" };

/** A credit as the books hold it, as the payment of a session. */
function bookedAs(memoKey: MemoKey, naming: { muxed: MemoKey | null; memo: MemoKey | null }) {
  const session = aSession(owner, { memoKey });
  const credit = creditFor(session, naming);
  const { operationId, moveIndex, account, transactionHash, asset, amount, closedAt } = credit;
  const row: BookedCredit = {
    ...{ operationId, moveIndex, account, transactionHash, asset, amount, closedAt },
    outcome: "payment",
    innerHash: null,
    sender: credit.from,
    memoKey: credit.memo,
    muxedKey: credit.muxed,
    reason: null,
    detail: null,
    handedInFor: null,
    paysCharge: null,
    payment: { surplus: 0n, accepted: false, session },
  };
  return { credit, row };
}

describe("the audit's own rule for what a credit names", () => {
  it("agrees with the settlement's, for every pair of a session and a credit", () => {
    const numbers = fc.constantFrom("0", "7", "18446744073709551615");
    const texts = fc.oneof(numbers, fc.constantFrom("07", "7 ", "18446744073709551616", "seven"));
    const muxed = numbers.map((id) => muxedId(id));
    const keys = fc.oneof(
      muxed,
      numbers.map((id) => idMemo(id)),
      texts.map((text) => textMemo(Buffer.from(text))),
    );
    const namings = fc.record({ muxed: fc.option(muxed), memo: fc.option(keys) });
    fc.assert(
      fc.property(keys, namings, (memoKey, naming) => {
        const { credit, row } = bookedAs(memoKey, naming);
        const kinds = compareCredits([credit], [row]).map(({ kind }) => kind);
        const isNamed = referenceOf(naming) === referenceOfKey(memoKey);
        expect(kinds).to.deep.equal(isNamed ? [] : ["wrong_session"]);
      }),
      { numRuns: 5_000 },
    );
  });
});
