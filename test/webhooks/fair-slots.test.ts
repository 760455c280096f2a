import { expect } from "chai";
import fc from "fast-check";
import { FairSlots, type Slot, type SlotLimits } from "../../src/webhooks/fair-slots.js";
import { eventually } from "../support/stream.js";

const LIMITS: SlotLimits = { fast: 12, slow: 8, perEndpoint: 4, perSlowEndpoint: 1, slowAfterMs: 1 };

/** Takes as many as it gets. */
function takeAll(slots: FairSlots, merchantId: string, endpointId: string): Slot[] {
  const taken: Slot[] = [];
  for (;;) {
    const slot = slots.take(merchantId, endpointId);
    if (slot === null) return taken;
    taken.push(slot);
  }
}

describe("slots of webhook deliveries", () => {
  const quick = { ...LIMITS, slowAfterMs: 3_600_000 };

  it("an endpoint gets its share and no more, and a merchant with many endpoints leaves room", () => {
    const slots = new FairSlots(() => undefined, quick);
    expect(takeAll(slots, "m", "e1")).to.have.length(4);
    const rest = Array.from({ length: 100 }, (_, i) => takeAll(slots, "m", `e${i + 2}`)).flat();
    // Half of all: the other half is everybody else's.
    expect(rest).to.have.length(2);
    expect(takeAll(slots, "other", "o1")).to.have.length(3);
    expect(slots.take("third", "t1")).not.to.equal(null);
  });

  it("whatever is taken and released, no merchant holds more than half, and what is released is there again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5), fc.nat(20), fc.boolean()), { maxLength: 200 }),
        (wishes: [merchant: number, endpoint: number, releases: boolean][]) => {
          const slots = new FairSlots(() => undefined, quick);
          const held = new Map<number, Slot[]>();
          for (const [merchant, endpoint, releases] of wishes) {
            const mine = held.get(merchant) ?? [];
            held.set(merchant, mine);
            const slot = slots.take(`m${merchant}`, `m${merchant}e${endpoint}`);
            if (slot !== null) mine.push(slot);
            if (releases) mine.pop()?.release();
            expect(mine.length).to.be.at.most(quick.fast / 2);
          }
          for (const slot of [...held.values()].flat()) slot.release();
          expect(takeAll(slots, "newcomer", "first")).to.have.length(quick.perEndpoint);
        },
      ),
    );
  });

  it("a request that lasts too long leaves the slots of the fast ones, and its endpoint gets few from then on", async () => {
    const slots = new FairSlots(() => undefined, { ...LIMITS, fast: 4, perEndpoint: 3 });
    const late = [slots.take("m", "late"), slots.take("m", "late")];
    expect(slots.take("m", "other")).to.equal(null);
    for (const slot of late) slot?.sending();
    await eventually(async () => slots.roomOf("late") === 0);
    await eventually(async () => {
      const [first, second] = [slots.take("m", "other"), slots.take("m", "other")];
      for (const slot of [first, second]) slot?.release();
      return first !== null && second !== null;
    });
    late[1]?.release();
    // One is under way, and one is what a slow endpoint may have.
    expect(slots.take("m", "late")).to.equal(null);
    late[0]?.release();
    const again = slots.take("m", "late");
    expect(again).not.to.equal(null);
    // Answered in time: as fast as any other.
    again?.sending();
    again?.answered();
    again?.release();
    expect(slots.roomOf("late")).to.equal(3);
  });

  it("the slots of the fast ones come free whatever receivers do, also while the slow ones are all taken", async () => {
    const slots = new FairSlots(() => undefined, { ...LIMITS, fast: 8, slow: 4 });
    for (let i = 0; i < 8; i++) {
      let slot: Slot | null = null;
      await eventually(async () => {
        slot ??= slots.take(`m${i}`, `late${i}`);
        return slot !== null;
      });
      (slot as Slot | null)?.sending();
    }
    await eventually(async () => {
      const taken = takeAll(slots, "healthy", "fast");
      for (const slot of taken) slot.release();
      return taken.length === 4;
    });
  });

  it("what never left, since there was nothing to send, says nothing about its endpoint", async () => {
    const slots = new FairSlots(() => undefined, LIMITS);
    const late = slots.take("m", "late");
    late?.sending();
    await eventually(async () => slots.roomOf("late") === 0);
    late?.answered();
    late?.release();
    slots.take("m", "late")?.release();
    expect(slots.roomOf("late")).to.equal(1);
  });

  it("a freed slot is offered to the refused endpoint whose merchant holds the least", () => {
    const called: string[] = [];
    const slots = new FairSlots((endpointId) => called.push(endpointId), { ...quick, fast: 4 });
    const [first] = takeAll(slots, "rich", "r1");
    takeAll(slots, "rich", "r2");
    takeAll(slots, "middle", "m1");
    expect(slots.take("poor", "p1")).not.to.equal(null);
    expect(slots.take("poor", "p2")).to.equal(null);
    expect(slots.take("none", "n1")).to.equal(null);
    first?.release();
    expect(called).to.deep.equal(["n1"]);
  });
});
