import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Result } from "../../bench/collect.js";
import { withResults } from "../../bench/performance-page.js";
import { BENCHMARKS } from "../../bench/registry.js";

const PAGE = fileURLToPath(new URL("../../../docs/performance.md", import.meta.url));

const machine = { cpu: "2 × test", date: "2026-11-21", commit: "abc" };

const result = (name: string, median: number): Result => ({
  name,
  measures: `What ${name} measures.`,
  seconds: 1,
  figures: [{ name: `figure of ${name}`, unit: "ms", runs: [median] }],
  goals: [],
  published: [],
  settings: {},
  notes: [],
  checked: [],
  charts: [{ file: name, title: "A chart", unit: "ms", kind: "bars", bars: [] }],
});

describe("docs/performance.md", () => {
  const page = readFileSync(PAGE, "utf8");

  it("has a place for every benchmark", () => {
    const results = BENCHMARKS.map(({ name }) => result(name, 7));
    const written = withResults(page, { machine, scale: "full", results });
    for (const { name } of BENCHMARKS) expect(written).to.include(`| figure of ${name} | ms | 7 |`);
    expect(written).to.include("2 × test");
  });

  it("keeps the words around, and what was not measured this time", () => {
    const words = "# Words\n\n<!-- bench:machine -->\n<!-- /bench:machine -->\n";
    const both = `${words}\n<!-- bench:a -->\n<!-- /bench:a -->\nBetween.\n<!-- bench:b -->\n<!-- /bench:b -->\n`;
    const first = withResults(both, { machine, scale: "full", results: [result("a", 1), result("b", 2)] });
    const second = withResults(first, { machine, scale: "full", results: [result("a", 3)] });
    expect(second).to.include("| figure of a | ms | 3 |").and.include("| figure of b | ms | 2 |");
    expect(second).to.not.include("| figure of a | ms | 1 |");
    expect(second).to.include("# Words").and.include("\nBetween.\n");
    expect(second).to.include("![A chart](images/bench-a.svg)");
  });

  it("refuses a result that it has no place for", () => {
    const measured = { machine, scale: "full", results: [result("unknown", 1)] } as const;
    expect(() => withResults(page, measured)).to.throw("no place for unknown");
  });
});
