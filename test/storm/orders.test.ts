import { expect } from "chai";
import { PROVIDERS, planStorm } from "./orders.js";

describe("the plan of a storm", () => {
  it("is the same for the same seed, and another one for another", () => {
    const plan = (seed: number) => planStorm(seed, 300, 5, PROVIDERS);
    expect(plan(7)).to.deep.equal(plan(7));
    expect(plan(7)).not.to.deep.equal(plan(8));
  });

  it("has every manner and every way to pay, half of it through each provider, each under its own reference", () => {
    const orders = planStorm(7, 300, 5, PROVIDERS);
    expect(new Set(orders.map(({ manner }) => manner)).size).to.equal(6);
    const stellar = orders.filter(({ provider }) => provider === "stellar");
    expect(stellar).to.have.length(150);
    expect(new Set(stellar.map(({ paying }) => paying)).size).to.equal(8);
    expect(new Set(orders.map(({ reference }) => reference)).size).to.equal(300);
  });
});
