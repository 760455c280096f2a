import { expect } from "chai";
import { Dice } from "./dice.js";
import { FAULTS } from "./faults/catalog.js";
import { nextOrder } from "./orders.js";
import { type Step, schedule } from "./schedule.js";

const PACE = { leastGapMs: 100, mostGapMs: 900 };

const SEED_7 = [
  "kill -9 of consume",
  "read-only database (stands for a full disk)",
  "kill -9 of a Postgres backend",
];

/** What a run does on the servers that are used by default. */
const USUAL = FAULTS.filter(({ on }) => on === undefined);

const steps = (seed: number, count: number) => firstOf(schedule(seed, USUAL, PACE), count);

function firstOf(all: Generator<Step, never>, count: number): Step[] {
  return Array.from({ length: count }, () => all.next().value);
}

describe("the schedule of chaos", () => {
  it("is the same for the same seed, and another one for another", () => {
    expect(steps(7, 200)).to.deep.equal(steps(7, 200));
    expect(steps(7, 200)).not.to.deep.equal(steps(8, 200));
  });

  it("does every fault in every round, as often as it says", () => {
    const round = USUAL.reduce((sum, { times }) => sum + times, 0);
    const done = steps(3, 2 * round).slice(round);
    for (const { name, times } of USUAL) {
      expect(
        done.filter(({ fault }) => fault === name),
        name,
      ).to.have.length(times);
    }
  });

  it("is not changed by faults that only other servers can have", () => {
    // From before there were any: the first steps of the seed that CI runs.
    expect(steps(7, 3).map(({ fault }) => fault)).to.deep.equal(SEED_7);
  });

  it("brings the same orders for the same seed", () => {
    const orders = (seed: number) => {
      const dice = new Dice(seed);
      return Array.from({ length: 500 }, (_, i) => nextOrder(dice, i, 3));
    };
    expect(orders(5)).to.deep.equal(orders(5));
    expect(orders(5)).not.to.deep.equal(orders(6));
  });
});
