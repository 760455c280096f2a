import type { Scale } from "./benchmark.js";
import type { Result } from "./collect.js";
import type { Machine } from "./machine.js";
import { machineTable, resultBody } from "./table.js";

/** What `--json` writes, as far as the page shows it. */
export type Measured = {
  readonly machine: Machine;
  readonly scale: Scale;
  readonly results: readonly Result[];
};

/**
 * Puts charts and tables into the page, each between the comments `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. The
 * words around them are written by hand and stay, and so do results that were not measured this time.
 * @throws Error when the page has no place for one
 */
export function withResults(page: string, { machine, scale, results }: Measured): string {
  const parts = results.map((result) => [result.name, partOf(result, machine)] as const);
  return [["machine", machineTable(machine, scale)] as const, ...parts].reduce(
    (text, [name, part]) => between(text, name, part),
    page,
  );
}

function partOf(result: Result, machine: Machine): string {
  const charts = result.charts.map(({ file, title }) => `![${title}](images/bench-${file}.svg)`);
  // One benchmark may be measured anew at another commit than the rest.
  const when = `Measured on ${machine.date ?? "an unknown day"} at ${machine.commit ?? "an unknown commit"}.`;
  return [...charts, when, resultBody(result)].join("\n\n");
}

function between(page: string, name: string, part: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [page.indexOf(open), page.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`the page has no place for ${name}: ${open} and ${close}`);
  return `${page.slice(0, from + open.length)}\n\n${part}\n\n${page.slice(to)}`;
}
