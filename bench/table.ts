import { type Figure, type Goal, isMet, type Scale } from "./benchmark.js";
import type { Result } from "./collect.js";
import type { Machine } from "./machine.js";
import { medianOf, noiseOf, round } from "./noise.js";

/** Where and with what it was measured, in Markdown. */
export function machineTable(machine: Machine, scale: Scale): string {
  const rows = Object.entries(machine).map(([name, value]) => [name, String(value)]);
  const warning = scale === "tiny" ? ["", "Tiny: the figures below mean nothing."] : [];
  return [...table(["machine", ""], [...rows, ["scale", scale]]), ...warning].join("\n");
}

/** What one benchmark found, in Markdown: figures with their noise and ratios, goals, and what others publish. */
export function resultTable(result: Result): string {
  return `## ${result.name}\n\n${resultBody(result)}`;
}

/** The same without its heading, for a page that has one. */
export function resultBody(result: Result): string {
  const { measures, seconds, figures, goals, published, settings, notes, checked } = result;
  return [
    `${measures} Took ${seconds} s.`,
    "",
    ...table(
      ["figure", "unit", "median", "min", "max", "runs", "ratio"],
      figures.map((figure) => figureRow(figure, figures)),
    ),
    ...part(goals, ["goal", "wanted", "got", "met"], goalRow),
    ...part(published, ["published by others", "says", "rig"], (it) => [it.name, it.says, it.rig]),
    ...part(Object.entries(settings), ["setting", ""], ([setting, value]) => [setting, String(value)]),
    ...list([...checked.map((what) => `checked: ${what}`), ...notes]),
  ].join("\n");
}

function figureRow(figure: Figure, all: readonly Figure[]): string[] {
  const { runs, min, median, max } = noiseOf(figure.runs);
  const name = figure.how === undefined ? figure.name : `${figure.name} (${figure.how})`;
  return [name, figure.unit, ...[median, min, max].map(round), String(runs), ratio(figure, all)];
}

function ratio({ runs, besides }: Figure, all: readonly Figure[]): string {
  const other = all.find(({ name }) => name === besides);
  return other === undefined ? "" : `${times(medianOf(runs) / medianOf(other.runs))} of ${other.name}`;
}

/** A goal in one sentence. */
export function goalText(goal: Goal): string {
  const [what, bound, got] = goalRow(goal);
  return `${what}: wanted ${bound}, got ${got}.`;
}

function goalRow(goal: Goal): string[] {
  const { what, wanted, got, unit } = goal;
  const withUnit = (value: number) => (unit === "" ? times(value) : `${round(value)} ${unit}`);
  const bound =
    "atLeast" in wanted ? `at least ${withUnit(wanted.atLeast)}` : `at most ${withUnit(wanted.atMost)}`;
  return [what, bound, withUnit(got), isMet(goal) ? "yes" : "**no**"];
}

/** A ratio, as people say it. */
function times(value: number): string {
  return `${value.toFixed(2)} ×`;
}

function part<T>(
  items: readonly T[],
  head: readonly string[],
  row: (item: T) => readonly string[],
): readonly string[] {
  return items.length === 0 ? [] : ["", ...table(head, items.map(row))];
}

function list(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", ...lines.map((line) => `- ${line}`)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
