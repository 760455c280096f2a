import { globSync } from "node:fs";
import { expect } from "chai";
import { halves } from "./halves.js";
import { configuration } from "./run-mocha.js";

describe("the two halves of the tests", () => {
  it("hold every test file once, a new one too, and are the same each time", () => {
    const files = [...globSync(configuration().spec), "dist/test/anything/new.test.js"];
    const [first, second] = halves(files);
    expect([...first, ...second]).to.have.members(files);
    expect(halves(files.toReversed())).to.deep.equal([first, second]);
  });
});
