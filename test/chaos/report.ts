import type { Audited } from "./audit.js";
import type { Finding } from "./verdict.js";

/** What one kind of fault came to. */
export type FaultRow = {
  readonly fault: string;
  readonly seen: string;
  /** How often it was done, from its beginning to its end. */
  readonly times: number;
  /** How often it could not be done, or was undone by another one. */
  readonly failed: number;
  /** Seconds until new payments to all accounts were settled, each time. */
  readonly recoveredIn: readonly number[];
};

/** All that a run found out. */
export type Report = {
  readonly seed: number;
  readonly command: string;
  readonly minutes: number;
  readonly faults: readonly FaultRow[];
  readonly skipped: readonly string[];
  readonly credits: number;
  readonly payments: number;
  readonly exceptions: number;
  readonly sessions: number;
  readonly redeliveries: number;
  readonly conflicts: number;
  readonly events: number;
  readonly webhooks: number;
  readonly orders: Readonly<Record<string, number>>;
  /** What recovery has done, by kind and action. */
  readonly repairs: Readonly<Record<string, number>>;
  readonly audits: readonly Audited[];
  readonly findings: readonly Finding[];
  /** Not a broken guarantee, but worth a look. */
  readonly notes: readonly string[];
};

export function isGreen({ findings }: Report): boolean {
  return findings.length === 0;
}

/** Some faults find nothing to hurt; a run in which many do has shown little. */
export function tooManyFailed(rows: readonly FaultRow[]): boolean {
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  return failed >= 3 && failed > 0.2 * (total(rows) + failed);
}

/** The report as Markdown, as bench/results/chaos.md shows it; its last line is the verdict. */
export function toMarkdown(report: Report): string {
  const rows = [...report.faults].sort((a, b) => b.times - a.times || a.fault.localeCompare(b.fault));
  const table = rows.map(({ fault, times, failed, seen, recoveredIn }) => {
    const [median, most] = [quantile(recoveredIn, 0.5), quantile(recoveredIn, 1)];
    const count = failed === 0 ? times : `${times} (and ${failed} could not be done)`;
    // A median of few is not to be taken for one of all.
    const samples = recoveredIn.length < times ? ` (${recoveredIn.length} of ${times})` : "";
    return `| ${fault} | ${count} | ${seen} | ${seconds(median)}${samples} | ${seconds(most)} |`;
  });
  return [
    `Command: \`${report.command}\` (seed ${report.seed}, ${report.minutes.toFixed(1)} min of load and faults)`,
    "",
    "| fault | times | what must be seen | back after, median s | max s |",
    "|---|---|---|---|---|",
    ...table,
    "",
    ...report.skipped.map((line) => `Skipped: ${line}`),
    `Faults ${total(rows)}, credits ${report.credits}, payments ${report.payments}, exceptions ${report.exceptions}, ` +
      `sessions ${report.sessions}, redeliveries at least ${report.redeliveries}, ` +
      `conflicts retried at least ${report.conflicts}, events ${report.events}, webhook requests ${report.webhooks}.`,
    `Orders: ${listed(report.orders)}.`,
    `Recovery: ${listed(report.repairs) || "nothing to do"}.`,
    ...report.audits.map(
      ({ account, code, credits, differences }) =>
        `Audit of ${account.slice(0, 8)}…: exit code ${code}, ${credits} credits, ${differences.length} differences${code !== 0 && differences.length === 0 ? " besides the driver's own poison" : ""}.`,
    ),
    ...report.notes.map((note) => `Note: ${note}`),
    ...report.findings.flatMap(({ check, count, examples }) => [
      `FAILED ${check}: ${count} times`,
      ...examples.map((example) => `  ${example}`),
    ]),
    "",
    verdictLine(report),
  ].join("\n");
}

function verdictLine(report: Report): string {
  return isGreen(report)
    ? `GREEN: ${report.credits} credits through ${total(report.faults)} faults: each in exactly one place, none lost, none doubled.`
    : `RED: ${report.findings.map(({ check, count }) => `${check} (${count})`).join("; ")}. Again: ${report.command}`;
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

function total(rows: readonly FaultRow[]): number {
  return rows.reduce((sum, { times }) => sum + times, 0);
}

function quantile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null;
}

function seconds(value: number | null): string {
  return value === null ? "–" : value.toFixed(1);
}
