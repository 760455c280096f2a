import { expect } from "chai";
import fc from "fast-check";
import { ASK_DELAYS_MS, askDelay, MAX_SENDS, refusedDelay } from "../../src/charges/judge-attempt.js";

const HOUR_MS = 3_600_000;
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("when a charge is sent or asked for again", () => {
  it("is after about 5 s, 30 s, 2 min and 10 min where it was refused; then it has failed", () => {
    const delays = [1, 2, 3, 4, 5].map((sends) => refusedDelay(sends, 0));
    expect(delays).to.deep.equal([5_000, 30_000, 120_000, 600_000, null]);
    expect(MAX_SENDS).to.equal(5);
  });

  it("is after 2 s, 5 s, 15 s, 30 s, 1, 2, 5, 15 and 30 min, 1, 3 and 6 h where it is unknown, and for ever so", () => {
    const seconds = [2, 5, 15, 30, 60, 120, 300, 900, 1_800, 3_600, 10_800, 21_600, 21_600];
    expect(seconds.map((_, asks) => askDelay(asks, 0) / 1_000)).to.deep.equal(seconds);
    expect(askDelay(Number.NaN, 0), "a count that is none").to.equal(2_000);
  });

  it("has up to half of the delay on top, by chance, in whole milliseconds", () => {
    expect([refusedDelay(2, 0.5), refusedDelay(2, 0.99999)]).to.deep.equal([37_500, 45_000]);
    expect([askDelay(2, 0.5), askDelay(2, 0.99999)]).to.deep.equal([18_750, 22_500]);
    expect([refusedDelay(1, 1 / 3), askDelay(1, 1 / 3)]).to.deep.equal([5_833, 5_833]);
  });

  it("is not before the provider wants it, within an hour, and never sooner than planned", () => {
    const CASES: [number, number][] = [
      [60_000, 60_000],
      [1, 5_000],
      [-60_000, 5_000],
      [7 * 24 * HOUR_MS, HOUR_MS],
      [Number.NaN, 5_000],
      [Number.POSITIVE_INFINITY, 5_000],
    ];
    for (const [wanted, delay] of CASES) {
      expect(refusedDelay(1, 0, wanted), `sent again, ${wanted}`).to.equal(delay);
      expect(askDelay(1, 0, wanted), `asked, ${wanted}`).to.equal(delay);
    }
  });

  it("questions slow down from seconds to hours, and never stop", () => {
    const delays = Array.from({ length: 30 }, (_, asks) => askDelay(asks, 0));
    expect(delays).to.deep.equal(delays.toSorted((a, b) => a - b));
    expect(delays[0]).to.equal(2_000);
    expect(delays.at(-1)).to.equal(6 * 3_600_000);
    expect(askDelay(1_000_000, 0)).to.equal(ASK_DELAYS_MS.at(-1));
  });

  it("refusals have jitter, and what the provider asks for is the least", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), random, fc.nat(3_600_000), (sends, chance, wait) => {
        const delay = refusedDelay(sends, chance, wait) ?? 0;
        expect(delay).to.be.at.least(Math.max(wait, refusedDelay(sends, 0) ?? 0));
      }),
    );
    expect(refusedDelay(1, 0)).to.not.equal(refusedDelay(1, 0.5));
    // Nobody may ask to be left alone for a week.
    expect(refusedDelay(1, 0, 7 * 86_400_000)).to.equal(3_600_000);
  });
});
