/**
 * `./dev bench`: measures, prints a table in Markdown on standard output and what it is doing on standard error. Exit code
 * 0 whatever the figures are, 1 when a benchmark could not run or found wrong rows.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { isMet, type Scale } from "./benchmark.js";
import { drawChart } from "./chart.js";
import { collect, type Result } from "./collect.js";
import { describeMachine } from "./machine.js";
import { noiseOf } from "./noise.js";
import { type Measured, RESULTS, resultPage, withResults } from "./performance-page.js";
import { BENCHMARKS, benchmarkCalled } from "./registry.js";
import { Servers } from "./servers.js";
import { machineTable, resultTable } from "./table.js";

type Options = { tiny?: true; full?: true; json?: string; svgDir?: string; docs?: string; list?: true };

const PAGE = "docs/performance.md";
const PICTURES = "docs/images";

const program = new Command("./dev bench")
  .description("measures how fast the service is and what it costs, beside peers on the same machine")
  .argument("[name...]", "which benchmarks; all when none is named")
  .option("--tiny", "only prove that they work, in seconds; the figures mean nothing")
  .option("--full", "as published: more payments and more runs, on a machine that does nothing else")
  .option("--json <file>", "write everything that was measured there")
  .option("--svg-dir <folder>", "draw the charts there")
  .option(
    "--docs <file>",
    "measure nothing: put what --json wrote there into bench/results and docs/performance.md",
  )
  .option("--list", "say which benchmarks there are")
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main(names: string[], { tiny, full, json, svgDir, docs, list }: Options): Promise<void> {
  if (list) {
    for (const { name, measures } of BENCHMARKS) process.stdout.write(`${name}: ${measures}\n`);
    return;
  }
  if (docs !== undefined) return writeDocs(JSON.parse(await readFile(docs, "utf8")));
  const chosen = names.length === 0 ? BENCHMARKS : names.map(named);
  const scale: Scale = tiny ? "tiny" : full ? "full" : "usual";
  const machine = await describeMachine();
  const results: Result[] = [];
  process.stdout.write(`${machineTable(machine, scale)}\n`);
  for (const benchmark of chosen) {
    // New ones for each: what one benchmark leaves behind is no part of the next.
    await using servers = await Servers.start();
    const result = await collect(benchmark, scale, servers, (line) => process.stderr.write(`${line}\n`));
    results.push(result);
    process.stdout.write(`\n${resultTable(result)}\n`);
    // After each one: a machine that gives up in the third has the first two on record.
    if (json !== undefined) {
      await writeFile(json, `${JSON.stringify({ machine, scale, results: results.map(told) }, null, 2)}\n`);
    }
    if (svgDir !== undefined) await drawAll(result, svgDir);
  }
}

function named(name: string) {
  try {
    return benchmarkCalled(name);
  } catch (error) {
    return program.error(error instanceof Error ? error.message : String(error));
  }
}

/** With what a reader would have to compute. */
function told(result: Result) {
  return {
    ...result,
    figures: result.figures.map((figure) => ({ ...figure, noise: noiseOf(figure.runs) })),
    goals: result.goals.map((goal) => ({ ...goal, met: isMet(goal) })),
  };
}

async function writeDocs(measured: Measured): Promise<void> {
  await writeFile(PAGE, withResults(await readFile(PAGE, "utf8"), measured));
  await mkdir(RESULTS, { recursive: true });
  for (const result of measured.results) {
    await writeFile(join(RESULTS, `${result.name}.md`), resultPage(result, measured));
    await drawAll(result, PICTURES, "bench-");
  }
}

async function drawAll({ charts }: Pick<Result, "charts">, folder: string, prefix = ""): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const chart of charts) await writeFile(join(folder, `${prefix}${chart.file}.svg`), drawChart(chart));
}
