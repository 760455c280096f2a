import { expect } from "chai";
import { drawChart } from "../../bench/chart.js";
import { collect } from "../../bench/collect.js";
import { noiseOf } from "../../bench/noise.js";
import { BENCHMARKS } from "../../bench/registry.js";
import { Servers } from "../../bench/servers.js";
import { resultTable } from "../../bench/table.js";

/** How fast something is depends on the machine and is never asserted: only that it can still be measured. */
describe("every benchmark works, in its tiny form", () => {
  let servers: Servers;

  before(async () => {
    servers = await Servers.start();
  });
  after(() => servers[Symbol.asyncDispose]());

  for (const benchmark of BENCHMARKS) {
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
