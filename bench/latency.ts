import type { Histogram } from "hdr-histogram-js";
import type { Benchmark, Report, Scale } from "./benchmark.js";
import { medianOf } from "./noise.js";
import { type Latencies, type Offer, offerPayments, WAIT_MS } from "./offer-payments.js";

type Plan = {
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly runs: number;
  /** Null where `cost` already proves that payments come through the network. */
  readonly ledger: { readonly perSecond: number; readonly ms: number; readonly seconds: number } | null;
};

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { rates: [50], seconds: 0.5, runs: 1, ledger: null },
  usual: { rates: [50, 500, 2_000], seconds: 5, runs: 1, ledger: { perSecond: 500, ms: 5_000, seconds: 10 } },
  full: { rates: [50, 500, 2_000], seconds: 10, runs: 2, ledger: { perSecond: 500, ms: 5_000, seconds: 14 } },
};

const MERCHANTS = 4;

/** Where the goals stand. */
const GOAL_RATE = 500;

const PERCENTILES = [50, 99, 99.9] as const;

export const latency: Benchmark = {
  name: "latency",
  measures:
    "How long a payment takes from when it is seen until it is committed, and until its webhook is at the merchant's.",
  run: async (scale, report, servers) => {
    const { rates, seconds, runs, ledger } = PLANS[scale];
    await servers.describe(report);
    report.setting(
      "processes",
      "1 × consume, 1 × work, 1 × receiver; ingest and the network where ledgers close",
    );
    report.setting("merchants", `${MERCHANTS}, each with one account and one webhook endpoint`);
    const steady = rates.map((perSecond) => ({ perSecond, seconds, ledgerMs: null }));
    const burst =
      ledger === null ? [] : [{ perSecond: ledger.perSecond, seconds: ledger.seconds, ledgerMs: ledger.ms }];
    const found = new Map<string, Latencies[]>();
    for (let run = 1; run <= runs; run++) {
      for (const offer of [...steady, ...burst]) {
        report.say(`run ${run} of ${runs}: ${nameOf(offer)}`);
        const latencies = await offerPayments(servers, { ...offer, merchants: MERCHANTS, seed: run });
        found.set(nameOf(offer), [...(found.get(nameOf(offer)) ?? []), latencies]);
      }
    }
    for (const [name, all] of found) tell(report, name, all);
    if (rates.includes(GOAL_RATE)) setGoals(report, found.get(`${GOAL_RATE}/s`) ?? []);
    draw(report, rates, found);
    report.note(
      "Payments are offered in an open loop at random times of a fixed rate: the schedule does not wait, and latency counts from when a payment was to be seen.",
    );
    report.note(
      "At a rate alone, seen is when the payment was to be appended to its stream, which the benchmark does in place of ingest. In ledgers, seen is when the ledger closed: all of its payments come at once, and ingest reads them from pages of 200.",
    );
    report.note(
      "Committed is when the consumer acknowledges the entry, right after the commit. Sent is when the request is at the merchant's server; one that never came counts as long as it was waited for.",
    );
  },
};

function nameOf({ perSecond, ledgerMs }: Pick<Offer, "perSecond" | "ledgerMs">): string {
  return ledgerMs === null ? `${perSecond}/s` : `${perSecond}/s in ledgers of ${ledgerMs / 1_000} s`;
}

function tell(report: Report, name: string, all: readonly Latencies[]): void {
  for (const step of ["committed", "sent"] as const) {
    for (const percentile of PERCENTILES) {
      report.figure({
        name: `${step}, p${percentile}, ${name}`,
        unit: "ms",
        runs: all.map((one) => at(one[step], percentile)),
      });
    }
  }
  const payments = all.reduce((sum, one) => sum + one.payments, 0);
  const untold = all.reduce((sum, one) => sum + one.untold, 0);
  report.checked(`${name}: ${payments} payments measured, each session paid once and told of in one event`);
  if (untold > 0)
    report.note(
      `${name}: ${untold} of ${payments} webhooks had not come ${WAIT_MS / 1_000} s after the last payment.`,
    );
}

function setGoals(report: Report, all: readonly Latencies[]): void {
  const goal = (step: "committed" | "sent", percentile: number, atMost: number) =>
    report.goal({
      what: `${step}, p${percentile}, at ${GOAL_RATE} payments/s`,
      wanted: { atMost },
      got: medianOf(all.map((one) => at(one[step], percentile))),
      unit: "ms",
    });
  goal("committed", 50, 10);
  goal("committed", 99, 50);
  goal("sent", 99, 200);
}

function draw(
  report: Report,
  rates: readonly number[],
  found: ReadonlyMap<string, readonly Latencies[]>,
): void {
  const series = (step: "committed" | "sent", percentile: number) => ({
    name: `${step}, p${percentile}`,
    values: rates.map((rate) =>
      medianOf(
        (found.get(nameOf({ perSecond: rate, ledgerMs: null })) ?? []).map((one) =>
          at(one[step], percentile),
        ),
      ),
    ),
  });
  report.chart({
    file: "latency",
    title: "From seen to committed, and to the merchant's server",
    unit: "ms",
    kind: "lines",
    logarithmic: true,
    x: { title: "payments offered per second", at: rates.map(String) },
    series: [
      { ...series("committed", 50), ours: true },
      series("committed", 99),
      series("committed", 99.9),
      series("sent", 50),
      series("sent", 99),
    ],
  });
}

/** In milliseconds. */
function at(histogram: Histogram, percentile: number): number {
  return histogram.getValueAtPercentile(percentile) / 1_000;
}
