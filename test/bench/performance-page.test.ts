import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Result } from "../../bench/collect.js";
import { RESULTS, resultPage, withResults } from "../../bench/performance-page.js";
import { BENCHMARKS } from "../../bench/registry.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGE = `${ROOT}/docs/performance.md`;

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
    for (const { name } of BENCHMARKS) {
      expect(written).to.include(
        `[Every figure](../bench/results/${name}.md), measured on 2026-11-21 at abc.`,
      );
    }
  });

  it("keeps the text around the places, and the results that were not measured this time", () => {
    const both =
      "# Text\n<!-- bench:a -->\n<!-- /bench:a -->\nBetween.\n<!-- bench:b -->\n<!-- /bench:b -->\n";
    const first = withResults(both, { machine, scale: "full", results: [result("a", 1), result("b", 2)] });
    const newer = { ...machine, commit: "def" };
    const second = withResults(first, { machine: newer, scale: "full", results: [result("a", 3)] });
    expect(second).to.include("results/a.md), measured on 2026-11-21 at def.");
    expect(second).to.include("results/b.md), measured on 2026-11-21 at abc.");
    expect(second).to.not.include("results/a.md), measured on 2026-11-21 at abc.");
    expect(second).to.include("# Text").and.include("\nBetween.\n");
    expect(second).to.include("![A chart](images/bench-a.svg)");
  });

  it("shows each missed goal, and only counts the goals that were met", () => {
    const goals = [
      { what: "fast", wanted: { atMost: 10 }, got: 20.3, unit: "ms" },
      { what: "small", wanted: { atMost: 10 }, got: 9, unit: "MiB" },
    ];
    const place = "<!-- bench:a -->\n<!-- /bench:a -->\n";
    const written = withResults(place, { machine, scale: "full", results: [{ ...result("a", 1), goals }] });
    expect(written).to.include("Goals met: 1 of 2.");
    expect(written).to.include("Missed: fast: wanted at most 10 ms, got 20.3 ms.");
    expect(written).to.not.include("small");
  });

  it("says in its summary only figures that the linked results have", () => {
    const [, summary = ""] = page.split("\n## In short\n");
    const rows = [
      ...(summary.split("\n## ")[0] ?? "").matchAll(/^\|[^|]+\|([^|]+)\|.*\.\.\/(bench\/results\/\w+\.md)/gm),
    ];
    expect(rows).to.have.length.above(8);
    for (const [, answer = "", file = ""] of rows) {
      // In a cell of its own, or in a sentence; never as a part of a longer number. Names of figures are no figures.
      const figures = [...answer.matchAll(/(?<![\w.])\d[\d,.]*\d/g)].map(([figure]) => figure);
      expect(figures, answer).to.have.length.above(0);
      const results = readFileSync(`${ROOT}/${file}`, "utf8");
      for (const figure of figures) {
        const alone = new RegExp(`(?<![\\w.,])${figure.replaceAll(".", "\\.")}(?![\\w]|[.,]\\d)`);
        expect(results, `${figure} of ${answer.trim()}`).to.match(alone);
      }
    }
  });

  it("refuses a result that it has no place for", () => {
    const measured = { machine, scale: "full", results: [result("unknown", 1)] } as const;
    expect(() => withResults(page, measured)).to.throw("no place for unknown");
  });
});

describe("bench/results", () => {
  it("has a page for every benchmark", () => {
    const pages = readdirSync(`${ROOT}/${RESULTS}`);
    expect(pages).to.include.members(BENCHMARKS.map(({ name }) => `${name}.md`));
  });

  it("says every figure of a result, and on which machine it was measured", () => {
    const written = resultPage(result("a", 7), { machine, scale: "full" });
    expect(written).to.include("# a\n").and.include("| figure of a | ms | 7 |");
    expect(written).to.include("2 × test").and.include("| commit | abc |");
  });
});
