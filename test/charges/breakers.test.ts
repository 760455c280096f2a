import { expect } from "chai";
import { Breakers } from "../../src/charges/breakers.js";

describe("a provider's circuit breaker", () => {
  let changes: boolean[];
  const make = (halfOpenAfterMs: number) =>
    new Breakers(["bank", "other"], {
      failures: 3,
      halfOpenAfterMs,
      onChange: (_, isOpen) => changes.push(isOpen),
    });
  const fail = (breakers: Breakers) => breakers.enter("bank")?.leave(true);

  beforeEach(() => {
    changes = [];
  });

  it("opens after failures in a row, for its own provider alone", async () => {
    const breakers = make(60_000);
    for (const wasFault of [true, true, false, true, true]) await breakers.enter("bank")?.leave(wasFault);
    expect(breakers.admitted()).to.deep.equal(["bank", "other"]);
    await fail(breakers);
    expect(breakers.admitted()).to.deep.equal(["other"]);
    expect(breakers.enter("bank")).to.equal(null);
    expect(breakers.enter("unheard-of")).to.equal(null);
    expect(changes).to.deep.equal([true]);
  });

  it("half open, it lets one through, which decides", async () => {
    const breakers = make(0);
    for (let i = 0; i < 3; i++) await fail(breakers);
    const probe = breakers.enter("bank");
    expect(breakers.enter("bank")).to.equal(null);
    expect(breakers.admitted()).to.deep.equal(["other"]);
    await probe?.leave(true);
    const [next, behind] = [breakers.enter("bank"), breakers.enter("bank")];
    expect(behind).to.equal(null);
    await next?.leave(false);
    expect(breakers.admitted()).to.deep.equal(["bank", "other"]);
    expect(changes).to.deep.equal([true, false]);
    // Counted from nothing again.
    await fail(breakers);
    expect(breakers.enter("bank")).to.not.equal(null);
  });

  it("a probe that had nothing to do decides nothing", async () => {
    const breakers = make(0);
    for (let i = 0; i < 3; i++) await fail(breakers);
    await breakers.enter("bank")?.leave(null);
    expect(changes).to.deep.equal([true]);
    expect(breakers.admitted()).to.deep.equal(["bank", "other"]);
  });

  it("what began before it opened neither closes it nor counts", async () => {
    const breakers = make(0);
    const early = breakers.enter("bank");
    for (let i = 0; i < 3; i++) await fail(breakers);
    await early?.leave(false);
    expect(changes).to.deep.equal([true]);
  });
});
