import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect } from "chai";
import { CORES } from "./cores.js";
import { MUTANTS, type Mutant } from "./list.js";
import { NotTriedError, PlantedBuild, withFault } from "./planted-build.js";

/** Their tests need no server. */
const QUICK = [
  "test/settlement/decide.test.ts",
  "test/consumers/one-account.test.ts",
  "test/webhooks/retry-schedule.test.ts",
];

describe("planted faults", () => {
  it("stand in today's sources, each once, and name a test file that is there", () => {
    for (const mutant of MUTANTS) {
      expect(() => withFault(mutant), mutant.what).not.to.throw();
      expect(existsSync(mutant.test), mutant.test).to.equal(true);
    }
  });

  it("are found by the tests of their own area: one for each of three files", async () => {
    using build = new PlantedBuild();
    for (const test of QUICK) {
      expect(await build.isGreen(test), test).to.equal(true);
      const mutant = MUTANTS.find((each) => each.test === test);
      if (mutant === undefined) throw new Error(`no mutant for ${test}`);
      expect(await build.try(mutant), mutant.what).to.equal("killed");
    }
  });

  it("that change nothing survive, and what is not there or can't run is no find", async () => {
    using build = new PlantedBuild();
    const harmless: Mutant = {
      file: "src/settlement/decide.ts",
      find: "  const reference = referenceOf(credit);",
      replace: "  const reference = referenceOf(credit); // as before",
      test: "test/settlement/decide.test.ts",
      what: "nothing",
    };
    expect(await build.try(harmless)).to.equal("survived");
    const absent = { ...harmless, find: "there is no such text in it" };
    const broken = {
      ...harmless,
      find: "/** What `decide` needs to know of a session. */",
      replace: "throw new Error('broken');",
    };
    for (const mutant of [absent, broken]) {
      const error: unknown = await build.try(mutant).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(NotTriedError);
    }
    expect(await build.isGreen(harmless.test), "the fault is out again").to.equal(true);
  });
});

describe("every fault of the pure cores", () => {
  const mutate = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["dist/test/mutants/run.js", "cores", ...words],
      { encoding: "utf8", timeout: 240_000 },
    );
    return { status, printed: stdout + stderr };
  };

  it("stands in a source that is there once, with tests that are there", () => {
    const sources = CORES.flatMap((core) => core.sources);
    expect(new Set(sources).size).to.equal(sources.length);
    for (const file of CORES.flatMap((core) => [...core.sources, ...core.tests])) {
      expect(existsSync(file), file).to.equal(true);
    }
  });

  it("is found by the tests of its own area: one of the cores", () => {
    const { status, printed } = mutate("stellar/reference");
    expect(printed).to.match(/100\.0 % {2}of 2\d faults in the pure cores found/);
    expect(status).to.equal(0);
  });

  it("no core is no proof", () => {
    expect(mutate("there is no such core").status).to.equal(1);
  });
});
