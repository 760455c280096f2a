import type { Finding } from "../chaos/verdict.js";
import type { ChargeFigures, StormBooks } from "./books.js";
import { PROVIDERS } from "./orders.js";
import type { Ordered, Told } from "./verdict.js";

/** All that a run found out. */
export type StormReport = {
  readonly seed: number;
  readonly command: string;
  readonly minutes: number;
  readonly orders: readonly Ordered[];
  /** How often a provider took money. */
  readonly taken: number;
  readonly exceptions: number;
  /** Credits that `paidonce audit` compared. */
  readonly audited: number;
  readonly figures: readonly ChargeFigures[];
  readonly outcomes: StormBooks["outcomes"];
  readonly cancels: Readonly<Record<string, number>>;
  readonly faults: readonly { readonly fault: string; readonly times: number }[];
  readonly findings: readonly Finding[];
  /** Not a broken guarantee, but worth a look. */
  readonly notes: readonly string[];
};

export function isGreen({ findings }: StormReport): boolean {
  return findings.length === 0;
}

/** The report as Markdown, as bench/results/storm.md shows it; its last line is the verdict. */
export function toMarkdown(report: StormReport): string {
  const { figures, orders, faults, findings, notes } = report;
  const byName = [...faults].sort((a, b) => b.times - a.times || a.fault.localeCompare(b.fault));
  const rows = PROVIDERS.filter((name) => figures.some(({ provider }) => provider === name)).map((name) =>
    providerRow(
      name,
      orders.filter(({ provider }) => provider === name),
      figures.filter(({ provider }) => provider === name),
    ),
  );
  return [
    `Command: \`${report.command}\` (seed ${report.seed}, ${report.minutes.toFixed(1)} min of load and faults)`,
    "",
    "| provider | asked for | charges | succeeded | failed | cancelled | unknown in between | attempts each | at the most |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...rows,
    "",
    "| what was broken | times |",
    "|---|---:|",
    ...byName.map(({ fault, times }) => `| ${fault} | ${times} |`),
    "",
    `Answers: ${listed(answersOf(orders))}. Cancelled in time ${report.cancels.cancelled}, too late ${report.cancels["too late to cancel"]}.`,
    "",
    `Failed: ${listed(failuresOf(figures))}.`,
    "",
    `Attempts: ${report.outcomes.map(({ outcome, count }) => `${outcome} ${count}`).join(", ")}.`,
    "",
    `Money taken ${report.taken} times, ${report.exceptions} of them exceptions that the load provoked; audited credits ${report.audited}.`,
    "",
    ...notes.map((note) => `Note: could not be done: ${note}`),
    ...findings.flatMap(({ check, count, examples }) => [
      `FAILED ${check}: ${count} times`,
      ...examples.map((example) => `  ${example}`),
    ]),
    verdictLine(report),
  ].join("\n");
}

function providerRow(name: string, orders: readonly Ordered[], figures: readonly ChargeFigures[]): string {
  const sum = (field: "count" | "attempts" | "unknown", of = figures) =>
    of.reduce((total, row) => total + row[field], 0);
  const withStatus = (status: string) =>
    sum(
      "count",
      figures.filter((row) => row.status === status),
    );
  const each = (sum("attempts") / Math.max(1, sum("count"))).toFixed(2);
  const most = Math.max(0, ...figures.map(({ mostAttempts }) => mostAttempts));
  const cells = [
    name,
    orders.length,
    sum("count"),
    ...["succeeded", "failed", "cancelled"].map(withStatus),
    sum("unknown"),
    each,
    most,
  ];
  return `| ${cells.join(" | ")} |`;
}

function answersOf(orders: readonly Ordered[]): Map<string, number> {
  const told = orders.flatMap(({ answers }): readonly (Told | null)[] =>
    answers.length === 0 ? [null] : answers,
  );
  return counted(
    told.map((answer) => {
      if (answer === null) return "none";
      return answer.kind === "refused" ? `refused (${shortly(answer.why)})` : answer.kind;
    }),
  );
}

/** Without what differs from charge to charge. */
function shortly(why: string): string {
  return why.replace(/^.*can't be made: /, "").split(/[:,]/)[0] ?? why;
}

function failuresOf(figures: readonly ChargeFigures[]): Map<string, number> {
  const failed = figures.filter(({ failureCode }) => failureCode !== null);
  return new Map(failed.map(({ failureCode, provider, count }) => [`${provider} ${failureCode}`, count]));
}

function counted(names: readonly string[]): Map<string, number> {
  return new Map([...Map.groupBy(names, (name) => name)].map(([name, group]) => [name, group.length]));
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

function verdictLine({ findings, figures, orders, command, seed }: StormReport): string {
  const charges = figures.reduce((total, { count }) => total + count, 0);
  return findings.length === 0
    ? `GREEN: ${charges} charges for ${orders.length} orders, seed ${seed}: none doubled, no ghost, none lost, none open.`
    : `RED: ${findings.map(({ check, count }) => `${check} (${count})`).join("; ")}. Again: ${command}`;
}
