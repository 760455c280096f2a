import { isMet, type Scale } from "./benchmark.js";
import type { Result } from "./collect.js";
import type { Machine } from "./machine.js";
import { goalText, machineTable, resultBody } from "./table.js";

/** What `--json` writes, as far as the pages show it. */
export type Measured = {
  readonly machine: Machine;
  readonly scale: Scale;
  readonly results: readonly Result[];
};

/** The folder of result pages, in the project's root. */
export const RESULTS = "bench/results";

/** Everything that one benchmark found, as `bench/results/NAME.md`: each names its own machine, commit and day. */
export function resultPage(result: Result, { machine, scale }: Omit<Measured, "results">): string {
  return `# ${result.name}\n\n${machineTable(machine, scale)}\n\n${resultBody(result)}\n`;
}

/**
 * Puts the summary of each result into the page, between the comments `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`:
 * its charts, the missed goals, and a link to every figure. The text around them is written by hand and stays, and so do
 * results that were not measured this time.
 * @throws Error when the page has no place for one
 */
export function withResults(page: string, { machine, results }: Measured): string {
  return results.reduce((text, result) => between(text, result.name, summaryOf(result, machine)), page);
}

function summaryOf({ name, charts, goals }: Result, machine: Machine): string {
  const missed = goals.filter((goal) => !isMet(goal));
  const met = goals.length === 0 ? "" : ` Goals met: ${goals.length - missed.length} of ${goals.length}.`;
  return [
    ...charts.map(({ file, title }) => `![${title}](images/bench-${file}.svg)`),
    // One benchmark may be measured anew at another commit than the rest.
    `[Every figure](../${RESULTS}/${name}.md), measured on ${machine.date ?? "an unknown day"} at ${machine.commit ?? "an unknown commit"}.${met}`,
    ...missed.map((goal) => `Missed: ${goalText(goal)}`),
  ].join("\n\n");
}

function between(page: string, name: string, part: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [page.indexOf(open), page.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`the page has no place for ${name}: ${open} and ${close}`);
  return `${page.slice(0, from + open.length)}\n\n${part}\n\n${page.slice(to)}`;
}
