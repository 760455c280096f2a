import type { Benchmark, Figure, Goal, Published, Report, Scale } from "./benchmark.js";
import type { Chart } from "./chart.js";
import type { Servers } from "./servers.js";

/** Everything that one benchmark found. */
export type Result = {
  readonly name: string;
  readonly measures: string;
  readonly seconds: number;
  readonly figures: readonly Figure[];
  readonly goals: readonly Goal[];
  readonly published: readonly Published[];
  readonly settings: Readonly<Record<string, string | number>>;
  readonly notes: readonly string[];
  readonly checked: readonly string[];
  readonly charts: readonly Chart[];
};

/**
 * Runs one benchmark and keeps what it reports.
 * @throws Error what the benchmark throws; and when it measured nothing or checked nothing
 */
export async function collect(
  benchmark: Benchmark,
  scale: Scale,
  servers: Servers,
  say: (line: string) => void,
): Promise<Result> {
  const { name, measures } = benchmark;
  const figures: Figure[] = [];
  const goals: Goal[] = [];
  const published: Published[] = [];
  const settings: Record<string, string | number> = {};
  const notes: string[] = [];
  const checked: string[] = [];
  const charts: Chart[] = [];
  const report: Report = {
    figure: (figure) => void figures.push(figure),
    goal: (goal) => void goals.push(goal),
    published: (found) => void published.push(found),
    chart: (chart) => void charts.push(chart),
    setting: (setting, value) => {
      settings[setting] = value;
    },
    note: (text) => void notes.push(text),
    checked: (what) => void checked.push(what),
    say: (line) => say(`${name}: ${line}`),
  };
  const startedAt = performance.now();
  await benchmark.run(scale, report, servers);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  if (figures.length === 0) throw new Error(`${name} measured nothing`);
  if (checked.length === 0) throw new Error(`${name} did not check what it wrote`);
  return { name, measures, seconds, figures, goals, published, settings, notes, checked, charts };
}
