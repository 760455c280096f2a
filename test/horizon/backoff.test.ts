import { getEventListeners } from "node:events";
import { expect } from "chai";
import fc from "fast-check";
import { backoffDelay, sleep } from "../../src/backoff.js";

describe("backoff", () => {
  const options = { baseMs: 100, maxMs: 30_000 };

  it("is never over its bound, however often it failed", () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(5000), random, (attempt, chance) => {
        const delay = backoffDelay(attempt, chance, options);
        expect(delay).to.be.at.least(0).and.at.most(options.maxMs);
        expect(Number.isInteger(delay)).to.equal(true);
      }),
    );
  });

  it("doubles its bound with each attempt and spreads over all of it", () => {
    const bounds = [0, 1, 2, 3, 9, 60].map((attempt) => backoffDelay(attempt, 0.9999999, options));
    expect(bounds).to.deep.equal([99, 199, 399, 799, 29_999, 29_999]);
    expect(backoffDelay(9, 0, options)).to.equal(0);
  });

  it("a wait ends at once when it is aborted, and leaves no listener", async () => {
    const controller = new AbortController();
    const waiting = sleep(3_600_000, controller.signal);
    controller.abort(new Error("shutting down"));
    await waiting;
    await sleep(3_600_000, controller.signal);
    const { signal } = new AbortController();
    await sleep(1, signal);
    expect(getEventListeners(signal, "abort")).to.deep.equal([]);
  });
});
