import type { Benchmark, Report, Scale } from "./benchmark.js";
import { atTheirBest, type Best, barOf, type Contender, contender } from "./best.js";
import { measureCatchUp } from "./catch-up.js";
import { measurePlain, measureSettle, measureStatement } from "./ceiling.js";
import { medianOf } from "./noise.js";
import { measureOurs } from "./ours.js";
import { BULLMQ, measurePeer, type Peer, TEXTBOOK } from "./peers/measure-peer.js";
import { hasPgbench, measurePgbench } from "./pgbench.js";
import type { Servers } from "./servers.js";

/** The set-wise ways, and the ways one by one, each long enough at its own pace. */
const PAYMENTS = {
  tiny: { sets: 300, ones: 40, catchUp: 60 },
  usual: { sets: 20_000, ones: 2_000, catchUp: 5_000 },
  full: { sets: 50_000, ones: 3_000, catchUp: 15_000 },
} as const;

const RUNS = { tiny: 1, usual: 3, full: 3 } as const;

/** What the ratios are made of. */
const OURS = "paidonce";
const PGBENCH = "pgbench, one by one";
const CEILING = "plain set-wise statement";
const STATEMENT = "our set-wise statement alone";

/** 1 of the issue: how many payments per second, with everything on. */
export const throughput: Benchmark = {
  name: "throughput",
  measures:
    "Payments per second from the stream to committed and acknowledged, with Redlock, TypeORM and everything else on, beside peers.",
  run: async (scale, report, servers) => {
    await servers.describe(report);
    const bests = await atTheirBest(await contenders(servers, scale, report), RUNS[scale], report.say);
    for (const best of bests) {
      report.figure({
        name: best.name,
        unit: "payments/s",
        runs: best.runs,
        ...(best.at !== "" && { how: best.at }),
        ...(best.name !== OURS && { besides: OURS }),
      });
    }
    goals(bests, report);
    report.chart({
      file: "throughput",
      title: "Payments settled per second, same machine, same durability",
      unit: "payments/s",
      kind: "bars",
      bars: bests.map((best) => ({ ...barOf(best), ...(best.name.startsWith(OURS) && { ours: true }) })),
    });
    report.checked("each payment of each run of each contender is in the same tables exactly once");
    published(report);
  },
};

async function contenders(servers: Servers, scale: Scale, report: Report): Promise<Contender<unknown>[]> {
  const { sets, ones, catchUp } = PAYMENTS[scale];
  const few = scale === "tiny";
  const connections = (counts: readonly number[]) => (few ? counts.slice(0, 1) : counts);
  const inConnections = (count: number) => `${count} ${count === 1 ? "connection" : "connections"}`;
  const setWise = (name: string, measure: typeof measurePlain, say: (count: number) => string) =>
    contender({
      name,
      choices: connections([1, 2, 4]),
      say,
      measure: (count, payments) => measure(servers, { payments, connections: count }),
      payments: sets,
    });
  const batches = few ? { CONSUMER_BATCH: "20" } : {};
  const all = [
    contender({
      name: OURS,
      choices: few ? [2] : [1, 2, 4],
      say: (processes) => `${processes} ${processes === 1 ? "process" : "processes"}`,
      measure: async (processes, payments) =>
        (await measureOurs(servers, { payments, processes, env: batches })).perSecond,
      payments: sets,
    }),
    contender({
      name: `${OURS}, from the network's pages`,
      choices: [1],
      say: () => "",
      measure: (_, payments) => measureCatchUp(servers, payments),
      payments: catchUp,
    }),
    setWise(CEILING, measurePlain, inConnections),
    setWise(STATEMENT, measureStatement, inConnections),
    setWise("settle alone", measureSettle, (count) => `${count} at once`),
    peer(servers, TEXTBOOK, ones, few),
    peer(servers, BULLMQ, ones, few),
  ];
  // What one process does is worth a line of its own; in the tiny form it would prove nothing more.
  if (!few) {
    all.push(
      contender({
        name: `${OURS}, 1 process`,
        choices: [1],
        say: () => "",
        measure: async (processes, payments) =>
          (await measureOurs(servers, { payments, processes })).perSecond,
        payments: sets,
      }),
    );
  }
  if (!(await hasPgbench())) {
    report.note("pgbench is not installed here: what Postgres does without us was left out");
    return all;
  }
  const pgbench = contender({
    name: PGBENCH,
    choices: connections([1, 4, 8, 16]),
    say: inConnections,
    measure: (count, payments) => measurePgbench(servers, { payments, connections: count }),
    payments: ones,
  });
  return [...all, pgbench];
}

type Spread = { readonly processes: number; readonly concurrency: number };

function peer(servers: Servers, of: Peer, payments: number, few: boolean): Contender<unknown> {
  const choices: Spread[] = [
    { processes: 1, concurrency: 4 },
    { processes: 1, concurrency: 16 },
    { processes: 2, concurrency: 4 },
    { processes: 2, concurrency: 12 },
  ];
  return contender({
    name: of.name,
    choices: few ? choices.slice(0, 1) : choices,
    say: ({ processes, concurrency }) =>
      `${processes} ${processes === 1 ? "process" : "processes"} × ${concurrency} at once`,
    measure: (spread, payments) => measurePeer(servers, of, { ...spread, payments }),
    payments,
  });
}

function goals(bests: readonly Best[], report: Report): void {
  const pace = (name: string) => {
    const found = bests.find((best) => best.name === name);
    return found === undefined ? null : medianOf(found.runs);
  };
  const ours = pace(OURS) ?? 0;
  const goal = (name: string, atLeast: number) => {
    const other = pace(name);
    if (other !== null)
      report.goal({ what: `against ${name}`, wanted: { atLeast }, got: ours / other, unit: "" });
  };
  goal(PGBENCH, 4);
  goal(TEXTBOOK.name, 8);
  goal(STATEMENT, 0.7);
  goal(CEILING, 0.7);
}

/** As the issue has them. */
function published(report: Report): void {
  report.published({ name: "MasonXPay", says: "about 190 to 250 charges/s", rig: "2 × 2 vCPU" });
  report.published({
    name: "an Anchor Platform observer",
    says: "about 20 payments/s",
    rig: "not told, 2022",
  });
}
