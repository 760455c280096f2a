import { expect } from "chai";
import { drawChart } from "../../bench/chart.js";
import { collect } from "../../bench/collect.js";
import { noiseOf } from "../../bench/noise.js";
import { BENCHMARKS } from "../../bench/registry.js";
import { Servers } from "../../bench/servers.js";
import { resultTable } from "../../bench/table.js";
import { isLong } from "../support/long.js";

/** Of each kind one: what settles from a backlog, and what is asked over HTTP. All of them are in `./dev proof bench`. */
const SMOKE = new Set(["throughput", "api"]);

/** How fast something is depends on the machine and is never asserted: only that it can still be measured. */
describe(`${isLong ? "every benchmark works" : "benchmarks work"}, in their tiny form`, () => {
  let servers: Servers;

  before(async () => {
    servers = await Servers.start();
  });
  after(() => servers[Symbol.asyncDispose]());

  for (const benchmark of isLong ? BENCHMARKS : BENCHMARKS.filter(({ name }) => SMOKE.has(name))) {
    it(`${benchmark.name} measures, and what it wrote is right`, async function () {
      this.timeout(300_000);
      const result = await collect(benchmark, "tiny", servers, () => undefined);
      for (const { name, runs } of result.figures) {
        const { min, median, max } = noiseOf(runs);
        expect(Number.isFinite(median), `${name} is a number`).to.equal(true);
        expect(min <= median && median <= max, `${name} lies between its least and its most`).to.equal(true);
      }
      expect(result.checked, "it says which rows it has checked").to.not.have.length(0);
      const table = resultTable(result);
      for (const { name } of result.figures) expect(table).to.contain(name);
      for (const chart of result.charts) expect(drawChart(chart)).to.match(/^<svg[\s\S]*<\/svg>\n$/);
    });
  }
});
