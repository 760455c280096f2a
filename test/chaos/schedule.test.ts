import { expect } from "chai";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import { Dice } from "./dice.js";
import { FAULTS } from "./faults/catalog.js";
import { nextOrder } from "./orders.js";
import { type Step, schedule } from "./schedule.js";
import type { World } from "./world.js";

const PACE = { leastGapMs: 100, mostGapMs: 900 };

const faultsOn = (servers: object) =>
  FAULTS.filter(({ on }) => on?.({ servers } as unknown as World) ?? true);

/** What a run does on the servers that are used by default. */
const USUAL = faultsOn({});

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
    const names = (faults: readonly { name: string }[]) => faults.map(({ name }) => name);
    const withStandby = faultsOn({ postgres: Object.create(PostgresPair.prototype) });
    const more = ["primary of Postgres killed, standby promoted", "kill -9 of the standby of Postgres"];
    expect(names(withStandby).filter((name) => !more.includes(name))).to.deep.equal(names(USUAL));
    expect(names(withStandby)).to.include.members(more);
    expect(names(USUAL)).not.to.include.members(more);
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
