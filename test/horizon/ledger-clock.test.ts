import { expect } from "chai";
import { LedgerClock } from "../../src/horizon/ledger-clock.js";

/**
 * Plays a network whose ledgers come in at the given times, and looks when the clock says so.
 * @returns how many looks were made, and how late each ledger was found
 */
function play(comesAt: readonly number[], until: number, mostMs = 10_000, isScarce = false) {
  const clock = new LedgerClock({ mostMs });
  let [now, looks, known] = [0, 0, 0];
  const late: number[] = [];
  while (now < until) {
    now += clock.wait(now, isScarce);
    looks++;
    const there = comesAt.filter((at) => at <= now).length;
    if (there > known) {
      late.push(now - (comesAt[there - 1] ?? now));
      known = there;
      clock.found(there, now);
    } else {
      clock.missed(now);
    }
    now += 5;
  }
  return { looks, late, clock };
}

const regular = (count: number, ms: number, jitter: (n: number) => number = () => 0) =>
  Array.from({ length: count }, (_, n) => 1_000 + n * ms + jitter(n));

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

describe("the rhythm of the ledgers", () => {
  it("is learnt from when they come in", () => {
    for (const ms of [1_000, 5_000, 6_000]) {
      expect(play(regular(60, ms), 60 * ms).clock.ledgerMs).to.be.closeTo(ms, ms * 0.02);
    }
  });

  it("finds a ledger within a fraction of a second, for about two looks each", () => {
    const jitter = (n: number) => ((n * 7919) % 13) * 50 - 300;
    const { late, looks } = play(regular(200, 5_000, jitter), 200 * 5_000);
    const settled = late.slice(20);
    expect(median(settled)).to.be.below(400);
    expect(Math.max(...settled)).to.be.below(1_500);
    expect(looks / late.length).to.be.below(2.5);
  });

  it("while requests are scarce, takes fewer than two looks for a ledger", () => {
    const jitter = (n: number) => ((n * 7919) % 13) * 50 - 300;
    const { late, looks } = play(regular(200, 5_000, jitter), 200 * 5_000, 10_000, true);
    expect(looks / late.length).to.be.below(1.7);
    expect(Math.max(...late.slice(20))).to.be.below(3_000);
  });

  it("a network that stands still is looked at ever more seldom, and as soon as it goes on in step again", () => {
    const before = regular(30, 5_000);
    const pause = 3_600_000;
    const after = regular(60, 5_000).map((at) => at + 30 * 5_000 + pause);
    const { looks, late } = play([...before, ...after], 90 * 5_000 + pause);
    // One look in ten seconds at the least while it stood still.
    expect(looks).to.be.below(90 * 3 + pause / 10_000 + 40);
    expect(median(late.slice(-30))).to.be.below(400);
  });

  it("never waits longer than it may", () => {
    const clock = new LedgerClock({ mostMs: 50 });
    clock.found(1, 0);
    expect(clock.wait(1)).to.be.at.most(50);
    for (let n = 0; n < 2_000; n++) clock.missed(n);
    expect(clock.wait(2_000)).to.equal(50);
    // Fifty milliseconds would be a hundred looks for a ledger.
    expect(clock.wait(2_000, true)).to.equal(clock.ledgerMs);
  });

  it("a ledger that never was, said by somebody else, is forgotten with the next true one", () => {
    const clock = new LedgerClock({ mostMs: 10_000 });
    for (let n = 1; n <= 10; n++) clock.found(n, n * 5_000);
    clock.found(60, 50_001);
    clock.found(11, 55_000);
    clock.found(12, 60_000);
    expect(clock.ledgerMs).to.be.closeTo(5_000, 100);
  });
});
