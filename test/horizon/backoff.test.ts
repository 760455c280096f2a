import { getEventListeners } from "node:events";
import { expect } from "chai";
import fc from "fast-check";
import { backoffDelay, sleep, within } from "../../src/backoff.js";

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

  it("a wait that has ended by itself has ended: an abort afterwards wakes nobody", async () => {
    const controller = new AbortController();
    let slept = false;
    const waiting = sleep(3_600_000, controller.signal).then(() => {
      slept = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([slept, getEventListeners(controller.signal, "abort").length]).to.deep.equal([false, 1]);
    controller.abort();
    await waiting;
    expect(getEventListeners(controller.signal, "abort")).to.deep.equal([]);
  });

  describe("within a time", () => {
    const never = new Promise<never>(() => undefined);

    it("work that ends is what it comes to, and its failure fails", async () => {
      expect(await within(3_600_000, Promise.resolve("done"), "late")).to.equal("done");
      const failure = new Error("failed");
      const failed: unknown = await within(3_600_000, Promise.reject(failure), "late").catch(
        (e: unknown) => e,
      );
      expect(failed).to.equal(failure);
    });

    it("work that does not end is late, after the time or at the signal", async () => {
      expect(await within(1, never, "late")).to.equal("late");
      const controller = new AbortController();
      const waiting = within(3_600_000, never, "late", controller.signal);
      controller.abort();
      expect(await waiting).to.equal("late");
    });

    it("leaves no timer behind, which would hold up the end of the process", async () => {
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      // After a turn mocha's own timer runs.
      await turn();
      const before = timers();
      await within(3_600_000, Promise.resolve(), null);
      await turn();
      expect(timers()).to.equal(before);
      await sleep(3_600_000, AbortSignal.abort());
      expect(timers()).to.equal(before);
    });
  });
});
