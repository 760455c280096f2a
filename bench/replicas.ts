import type { Benchmark, Report, Scale } from "./benchmark.js";
import { medianOf } from "./noise.js";
import { measureOurs, type OursOptions, type OursResult } from "./ours.js";
import type { Servers } from "./servers.js";
import { slowCommit } from "./slow-commit.js";

const PAYMENTS = {
  tiny: { fast: 300, slow: 120 },
  usual: { fast: 12_000, slow: 2_000 },
  full: { fast: 24_000, slow: 4_000 },
} as const;

const RUNS = { tiny: 1, usual: 2, full: 2 } as const;
const PROCESSES = { tiny: [2], usual: [1, 2, 4, 8], full: [1, 2, 4, 8] } as const;
const STREAMS = { tiny: [2], usual: [1, 8], full: [1, 8] } as const;

/** Added to each settlement transaction. */
const DELAY_MS = 5;

/**
 * With 200 in a transaction the machine itself takes longer than the delay, and no replica could do anything while another
 * one waits. In small transactions the wait is what holds one replica back, as it would on a machine with more cores.
 */
const DELAYED_BATCH = 5;

/** 4 of the issue: what more processes bring, and what they cost each other. */
export const replicas: Benchmark = {
  name: "replicas",
  measures:
    "Payments per second by 1, 2, 4 and 8 consumer processes on one stream and on 8, and what stands in their way.",
  run: async (scale, report, servers) => {
    await servers.describe(report);
    report.setting("entries in a transaction, with the delay", DELAYED_BATCH);
    const processes = PROCESSES[scale];
    const lines = [];
    for (const streams of STREAMS[scale]) {
      const name = streams === 1 ? "one stream" : `${streams} streams`;
      const payments = PAYMENTS[scale].fast;
      const env = scale === "tiny" ? { CONSUMER_BATCH: "10" } : {};
      const paces = await measureAll(servers, scale, report, processes, (count) => ({
        ...{ payments, accounts: streams, processes: count, env },
      }));
      tell(report, name, paces);
      const values = paces.map(({ pace }) => medianOf(pace));
      lines.push({ name, values, ...(streams === 1 && { ours: true as const }) });
      noLoss(report, name, paces);
    }
    lines.push(await withDelay(servers, scale, report));
    report.chart({
      file: "replicas",
      title: "Payments per second by consumer processes",
      unit: "payments/s",
      kind: "lines",
      x: { title: "processes", at: processes.map(String) },
      series: lines,
    });
    report.checked("after each run every payment is in the books exactly once");
  },
};

type Paces = { readonly processes: number; readonly pace: number[]; readonly last: OursResult };

/** All counts in turn, and again. */
async function measureAll(
  servers: Servers,
  scale: Scale,
  report: Report,
  counts: readonly number[],
  optionsFor: (count: number) => OursOptions,
): Promise<Paces[]> {
  const paces = new Map<number, Paces>();
  for (let run = 0; run < RUNS[scale]; run++) {
    for (const count of counts) {
      const result = await measureOurs(servers, optionsFor(count));
      const pace = [...(paces.get(count)?.pace ?? []), result.perSecond];
      paces.set(count, { processes: count, pace, last: result });
      report.say(
        `${count} processes, ${optionsFor(count).accounts ?? 1} streams: ${Math.round(result.perSecond)}/s`,
      );
    }
  }
  return [...paces.values()];
}

function tell(report: Report, name: string, paces: readonly Paces[]): void {
  const [first] = paces;
  for (const { processes, pace, last } of paces) {
    const { batches, contendedBatches, conflictsRetried } = last;
    report.figure({
      name: figureName(name, processes),
      unit: "payments/s",
      runs: pace,
      how: `of ${batches} batches ${contendedBatches} found a lock held, ${conflictsRetried} were retried`,
      ...(first !== undefined &&
        processes !== first.processes && { besides: figureName(name, first.processes) }),
    });
  }
}

function figureName(name: string, processes: number): string {
  return `${name}, ${processes} ${processes === 1 ? "process" : "processes"}`;
}

/** Eight must not be slower than one: less than a tenth is noise. */
function noLoss(report: Report, name: string, paces: readonly Paces[]): void {
  const [first, most] = [paces[0], paces.at(-1)];
  if (first === undefined || most === undefined) return;
  report.goal({
    what: `${name}: ${most.processes} processes against ${first.processes}, no loss`,
    wanted: { atLeast: 0.9 },
    got: medianOf(most.pace) / medianOf(first.pace),
    unit: "",
  });
}

async function withDelay(servers: Servers, scale: Scale, report: Report) {
  const name = `one stream, ${DELAY_MS} ms more for each transaction`;
  const paces = await measureAll(servers, scale, report, PROCESSES[scale], (count) => ({
    payments: PAYMENTS[scale].slow,
    processes: count,
    env: { CONSUMER_BATCH: String(DELAYED_BATCH) },
    between: (url) => slowCommit(url, DELAY_MS),
  }));
  tell(report, name, paces);
  const at = (count: number) => paces.find(({ processes }) => processes === count);
  const [one, four] = [at(1), at(4)];
  if (one !== undefined && four !== undefined) {
    report.goal({
      what: `${name}: 4 processes against 1`,
      wanted: { atLeast: 3.5 },
      got: medianOf(four.pace) / medianOf(one.pace),
      unit: "",
    });
  }
  return { name, values: paces.map(({ pace }) => medianOf(pace)) };
}
