import { expect } from "chai";
import fc from "fast-check";
import { anomalyOf } from "../../src/settlement/decide.js";
import { toStroops } from "../../src/stellar/stroops.js";

describe("what is odd about a session's money", () => {
  it("is nothing while nothing has come, and where what came is exact", () => {
    expect(anomalyOf(null, [])).to.equal(null);
    expect(anomalyOf(toStroops(0n), [])).to.equal(null);
  });

  it("is a surplus from the first stroop, unless something asks for a person", () => {
    expect(anomalyOf(toStroops(1n), [])).to.equal("overpaid");
    expect(anomalyOf(toStroops(1n), ["wrong_asset"])).to.equal("wrong_asset");
  });

  it("is the most urgent open exception, in whatever order they came", () => {
    const urgency = ["duplicate", "late", "underpaid", "wrong_asset"] as const;
    fc.assert(
      fc.property(fc.shuffledSubarray([...urgency], { minLength: 1 }), (open) => {
        expect(anomalyOf(null, open)).to.equal(urgency.find((reason) => open.includes(reason)));
      }),
    );
  });

  it("is no matter of credits that name no session", () => {
    expect(anomalyOf(null, ["no_memo", "unmatched", "unreadable"])).to.equal(null);
  });
});
