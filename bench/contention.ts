import type { Benchmark } from "./benchmark.js";
import { medianOf } from "./noise.js";
import { measureOurs } from "./ours.js";

const PAYMENTS = { tiny: 200, usual: 10_000, full: 24_000 } as const;
const RUNS = { tiny: 1, usual: 2, full: 2 } as const;

/** More than one: what hits the same session then comes to several at once. */
const PROCESSES = { tiny: 1, usual: 2, full: 2 } as const;

/** How far behind the first payment of a session its duplicate comes: sometimes in the same batch, sometimes not. */
const BEHIND = 150;

const EACH_ITS_OWN = "each payment its own session";

type Case = { readonly name: string; readonly sessionOf: (payment: number) => number };

const CASES: readonly Case[] = [
  { name: EACH_ITS_OWN, sessionOf: (payment) => payment },
  { name: "10 % duplicates", sessionOf: (payment) => (payment % 10 === 9 ? earlier(payment, 10) : payment) },
  { name: "50 % duplicates", sessionOf: (payment) => (payment % 2 === 1 ? earlier(payment, 2) : payment) },
  { name: "all for the same session", sessionOf: () => 0 },
];

/** 5 of the issue: what happens when many pay for the same. */
export const contention: Benchmark = {
  name: "contention",
  measures:
    "Payments per second by 2 consumer processes when sessions are paid more than once, against payments that are all of their own.",
  run: async (scale, report, servers) => {
    await servers.describe(report);
    const env = scale === "tiny" ? { CONSUMER_BATCH: "20" } : {};
    const results = CASES.map(({ name }) => ({ name, pace: [] as number[], how: "" }));
    for (let run = 0; run < RUNS[scale]; run++) {
      for (const [i, { name, sessionOf }] of CASES.entries()) {
        const options = { payments: PAYMENTS[scale], processes: PROCESSES[scale], sessionOf, env };
        const { perSecond, batches, contendedBatches, conflictsRetried } = await measureOurs(
          servers,
          options,
        );
        report.say(`${name}: ${Math.round(perSecond)}/s`);
        const result = results[i];
        if (result === undefined) continue;
        result.pace.push(perSecond);
        result.how = `of ${batches} batches ${contendedBatches} found a lock held, ${conflictsRetried} were retried`;
      }
    }
    const usual = medianOf(results[0]?.pace ?? []);
    for (const { name, pace, how } of results) {
      const isUsual = name === EACH_ITS_OWN;
      const besides = isUsual ? {} : { besides: EACH_ITS_OWN };
      report.figure({ name, unit: "payments/s", runs: pace, how, ...besides });
      if (isUsual) continue;
      report.goal({ what: name, wanted: { atLeast: 0.5 }, got: medianOf(pace) / usual, unit: "" });
    }
    report.chart({
      file: "contention",
      title: "Payments per second when sessions are paid more than once",
      unit: "payments/s",
      kind: "bars",
      bars: results.map(({ name, pace }) => ({ label: name, value: medianOf(pace), ours: true })),
    });
    report.checked(
      "after each run each session has one payment, and every other credit of it is a duplicate",
    );
  },
};

/** A payment of its own that came a while before; the first ones have none, and take the nearest. */
function earlier(payment: number, every: number): number {
  return Math.max(0, payment - (payment % every) - BEHIND);
}
