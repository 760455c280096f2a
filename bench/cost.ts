import type { Benchmark, Report, Scale } from "./benchmark.js";
import { type Backlog, holdBacklog } from "./hold-backlog.js";
import { medianOf } from "./noise.js";
import { type PaymentCost, payForPayments } from "./pay-for-payments.js";
import { KNOWS_COSTS } from "./process-cost.js";
import type { RoleName } from "./roles.js";

type Plan = {
  /** Entries that wait in the stream: the roles' memory must be the same with the last as with the first. */
  readonly backlogs: readonly [small: number, large: number];
  /** Of either, so many are settled while the memory is watched. */
  readonly settled: number;
  /** Who is watched beside the consumer. */
  readonly beside: readonly RoleName[];
  readonly perSecond: number;
  readonly seconds: number;
  readonly runs: number;
};

const ALL = ["ingest", "work", "api"] as const;

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { backlogs: [300, 10_000], settled: 200, beside: [], perSecond: 50, seconds: 1, runs: 1 },
  usual: { backlogs: [10_000, 100_000], settled: 5_000, beside: ALL, perSecond: 200, seconds: 10, runs: 1 },
  full: { backlogs: [20_000, 1_000_000], settled: 15_000, beside: ALL, perSecond: 400, seconds: 8, runs: 2 },
};

/** Of memory with the large backlog beside that with the small one: what a garbage collector makes of the same work. */
const FLAT = 1.25;

const MIB = 2 ** 20;

export const cost: Benchmark = {
  name: "cost",
  measures: "What a payment costs: bytes in Redis and Postgres, memory and processor time of each role.",
  run: async (scale, report, servers) => {
    const { backlogs, settled, beside, perSecond, seconds, runs } = PLANS[scale];
    await servers.describe(report);
    const costs: PaymentCost[] = [];
    for (let run = 1; run <= runs; run++) {
      report.say(`run ${run} of ${runs}: ${perSecond} payments/s for ${seconds} s`);
      costs.push(await payForPayments(servers, perSecond, seconds, run));
    }
    tellPayments(report, costs);
    const held: Backlog[] = [];
    for (const entries of backlogs) {
      report.say(`a backlog of ${inWords(entries)} entries`);
      held.push(await holdBacklog(servers, entries, settled, beside));
    }
    tellBacklogs(report, held);
    report.setting(
      "load for rows and processor time",
      `${perSecond} payments/s for ${seconds} s, a ledger a second`,
    );
    if (!KNOWS_COSTS) report.note("Memory and processor time are read from /proc, which only Linux has.");
  },
};

function tellPayments(report: Report, costs: readonly PaymentCost[]): void {
  for (const name of Object.keys(costs[0]?.cpuSeconds ?? {})) {
    report.figure({
      name: `processor per 1,000 payments, ${name}`,
      unit: "s",
      runs: costs.map(({ cpuSeconds, payments }) => ((cpuSeconds[name] ?? 0) / payments) * 1_000),
    });
  }
  const tables = costs[0]?.tables ?? [];
  const bytes = ["heap", "indexes"] as const;
  for (const { table } of tables) {
    const per = (pick: (row: PaymentCost["tables"][number]) => number) =>
      costs.map(({ tables, payments }) => {
        const row = tables.find((other) => other.table === table);
        return row === undefined ? 0 : pick(row) / payments;
      });
    report.figure({ name: `rows per payment, ${table}`, unit: "rows", runs: per(({ rows }) => rows) });
    for (const part of bytes) {
      report.figure({
        name: `bytes per payment, ${table}, ${part}`,
        unit: "bytes",
        runs: per((row) => row[part]),
      });
    }
  }
  const all = ({ tables, payments }: PaymentCost) =>
    tables.reduce((sum, { heap, indexes }) => sum + heap + indexes, 0) / payments;
  report.figure({ name: "bytes per payment, Postgres, all", unit: "bytes", runs: costs.map(all) });
  const payments = costs.reduce((sum, one) => sum + one.payments, 0);
  report.checked(
    `${payments} payments through the network, each settled once and each webhook delivered once`,
  );
  report.note(
    "Rows and bytes are of tables that grew by those payments alone, with what updates left behind and no vacuum has taken yet; heap holds what is toasted. A payment brings its session, its event, a delivery and an attempt.",
  );
  report.note("Processor time counts from when all roles were ready, code being compiled included.");
}

function tellBacklogs(report: Report, held: readonly Backlog[]): void {
  const [small, large] = held;
  if (small === undefined || large === undefined) return;
  report.figure({
    name: "bytes per backlog entry, Redis",
    unit: "bytes",
    runs: held.map(({ bytesPerEntry }) => bytesPerEntry),
    how: `with ${held.map(({ entries }) => inWords(entries)).join(" and ")} entries`,
  });
  for (const role of Object.keys(large.resident) as RoleName[]) {
    const name = ({ entries }: Backlog) => `memory, ${role}, backlog ${inWords(entries)}`;
    for (const one of held) {
      report.figure({
        name: name(one),
        unit: "MiB",
        runs: [(one.resident[role] ?? 0) / MIB],
        ...(one === large && { besides: name(small) }),
      });
    }
    report.goal({
      what: `memory of ${role}: a backlog of ${inWords(large.entries)} beside ${inWords(small.entries)}`,
      wanted: { atMost: FLAT },
      got: (large.resident[role] ?? 0) / (small.resident[role] ?? 1),
      unit: "",
    });
  }
  for (const { entries, settled, kept } of held) {
    report.checked(
      `backlog ${inWords(entries)}: ${settled} credits recorded once, ${kept} entries still in the stream`,
    );
  }
  report.note(
    `Memory is the most that was resident while ${inWords(medianOf(held.map((it) => it.settled)))} or so were settled.`,
  );
}

function inWords(count: number): string {
  return count.toLocaleString("en-US");
}
