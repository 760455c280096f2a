import { expect } from "chai";
import { lookAgainAfter, type Waiting } from "../../src/submission/follow-submission.js";

const NOW = new Date("2026-11-01T12:00:00Z");
const inSeconds = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const delayOf = (facts: Partial<Waiting>) =>
  lookAgainAfter({
    attempt: 1,
    maxTime: inSeconds(300),
    now: NOW,
    refusal: null,
    retryAfterMs: null,
    random: 0,
    ...facts,
  });

describe("when a transaction is looked at again", () => {
  it("within a ledger or so at first, then less often, at least every 36 s", () => {
    const delays = Array.from({ length: 20 }, (_, i) =>
      delayOf({ attempt: i + 1, maxTime: inSeconds(3600) }),
    );
    expect(delays.slice(0, 3)).to.deep.equal([2_000, 2_000, 3_000]);
    expect(delays).to.deep.equal([...delays].sort((a, b) => a - b));
    expect(delays.at(-1)).to.equal(30_000);
    expect(delayOf({ attempt: 50, random: 0.999 })).to.be.within(30_001, 36_000);
  });

  it("as soon as its end is decided, and in the usual rhythm after that", () => {
    expect(delayOf({ attempt: 50, maxTime: inSeconds(5) })).to.equal(12_000);
    expect(delayOf({ attempt: 50, maxTime: inSeconds(-6) })).to.equal(1_000);
    expect(delayOf({ attempt: 50, maxTime: inSeconds(-60) })).to.equal(30_000);
  });

  it("every five minutes after an answer that will not change soon, once it has stood for some ledgers", () => {
    const delayAfter = (refusal: string | null, attempt: number, maxTime = inSeconds(3600)) =>
      delayOf({ refusal, attempt, maxTime });
    for (const code of ["tx_bad_auth", "tx_no_account", "tx_bad_seq"]) {
      for (let attempt = 1; attempt <= 5; attempt++) {
        expect(delayAfter(code, attempt), code).to.equal(delayAfter(null, attempt));
      }
      expect(delayAfter(code, 6), code).to.equal(300_000);
      expect(delayAfter(code, 6, inSeconds(60)), "and when its time is over").to.equal(67_000);
    }
    for (const code of ["tx_insufficient_fee", "tx_too_early", "tx_failed (op_underfunded)"]) {
      expect(delayAfter(code, 6), code).to.equal(5_000);
    }
  });

  it("not before Horizon wants to be asked", () => {
    expect(delayOf({ retryAfterMs: 90_000 })).to.equal(90_000);
    expect(delayOf({ retryAfterMs: 1 })).to.equal(2_000);
  });
});
