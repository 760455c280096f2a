import { expect } from "chai";
import { sharedPostgres } from "../support/database.js";
import { contrast } from "./contrast.js";
import { drawContrast } from "./picture.js";
import { isCrash, planOrders, SCENARIOS } from "./plan.js";
import { judge, totalOf } from "./verdict.js";

const KINDS = Object.keys(SCENARIOS).length;

describe("the contrast with a shop that calls its provider and then saves", () => {
  it("the same seed gives the same orders, each scenario as often, those with a crash last", () => {
    const orders = planOrders(7, 3);
    expect(orders).to.deep.equal(planOrders(7, 3));
    expect(orders).not.to.deep.equal(planOrders(8, 3));
    expect(orders).to.have.length(3 * KINDS);
    const firstCrash = orders.findIndex(({ scenario }) => isCrash(scenario));
    expect(orders.slice(firstCrash).every(({ scenario }) => isCrash(scenario))).to.equal(true);
  });

  it("its verdict tells apart what was doubled, what nobody recorded, and what was never taken", () => {
    const order = (reference: string) => ({ reference, cents: 100, scenario: "nothing goes wrong" }) as const;
    const orders = ["right", "double", "ghost", "phantom"].map(order);
    const taken = new Map([
      ["right", [100]],
      ["double", [100, 100]],
      ["ghost", [100]],
    ]);
    const recorded = new Map([
      ["right", [100]],
      ["double", [100, 100]],
      ["phantom", [100]],
    ]);
    expect(totalOf(judge(orders, taken, recorded))).to.deep.equal({
      orders: 4,
      ordered: 400,
      taken: 400,
      recorded: 400,
      doubled: 1,
      ghosts: 1,
      phantoms: 1,
    });
  });

  it("G6: paidonce takes and records each order once, where that shop doubles some and loses others", async function () {
    this.timeout(240_000);
    const result = await contrast(await sharedPostgres(), { seed: 1, perScenario: 1 }, () => undefined);
    const [naive, ours] = result.sides.map(({ lines }) => totalOf(lines));
    expect(ours).to.include({ orders: KINDS, doubled: 0, ghosts: 0, phantoms: 0, taken: ours?.ordered });
    expect(ours?.recorded).to.equal(ours?.ordered);
    // Were nothing to go wrong here, nothing would be shown above.
    expect(naive?.doubled).to.be.greaterThan(0);
    expect(naive?.ghosts).to.be.greaterThan(0);
    const picture = drawContrast(result.sides);
    expect(picture).to.include(`0 charged twice, 0 taken and not recorded`);
  });
});
