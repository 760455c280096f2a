import { expect } from "chai";
import { hasCaughtUp, reachesPast, saysItReachesPast, UNSAID_LAG_MS } from "../../src/horizon/reach.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";

const MOMENT = new Date("2026-05-04T12:00:00Z");
const L = 1_000 as LedgerSequence;
/** A root whose newest ledger closed so many milliseconds after the moment; of no known time with null. */
const root = (ms: number | null) => ({
  historyLatestLedger: L,
  historyLatestClosedAt: ms === null ? null : new Date(MOMENT.getTime() + ms),
});
const at = (difference: number) => (L + difference) as LedgerSequence;

describe("how far a server was when it answered", () => {
  it("an answer that names its ledger has caught up exactly if that is not before the root's", () => {
    for (const time of [null, -1, 1, UNSAID_LAG_MS + 1]) {
      const caughtUp = [-1, 0, 1].map((difference) => hasCaughtUp(root(time), at(difference), MOMENT));
      expect(caughtUp).to.deep.equal([false, true, true]);
    }
  });

  it("one that names none has, once the root's ledger closed later than a server may lag", () => {
    const caughtUp = [null, 1, UNSAID_LAG_MS, UNSAID_LAG_MS + 1].map((ms) =>
      hasCaughtUp(root(ms), null, MOMENT),
    );
    expect(caughtUp).to.deep.equal([false, false, false, true]);
  });

  it("it reaches past a moment that lies before the close of a ledger it had, to the millisecond", () => {
    const reaches = (ms: number | null, ledger: LedgerSequence | null) =>
      reachesPast(root(ms), ledger, MOMENT);
    expect([null, -1, 0, 1].map((ms) => reaches(ms, L))).to.deep.equal([false, false, false, true]);
    expect(reaches(1, at(-1)), "another server, behind").to.equal(false);
    expect([UNSAID_LAG_MS, UNSAID_LAG_MS + 1].map((ms) => reaches(ms, null))).to.deep.equal([false, true]);
  });

  it("and says so only where the answer names its ledger", () => {
    expect(saysItReachesPast(root(UNSAID_LAG_MS + 1), null, MOMENT)).to.equal(false);
    expect([0, 1].map((ms) => saysItReachesPast(root(ms), L, MOMENT))).to.deep.equal([false, true]);
  });
});
