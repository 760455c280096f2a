/**
 * The tests mostly wait, for processes to start, leases to end, browsers to draw: two mochas at once take half the
 * time of one. Mocha's own --parallel starts a process for each file, and each would start a Postgres of its own.
 */

/**
 * Roughly how many seconds the long ones take, so that both halves end at about the same time; run.ts prints what
 * a run took. A file that is missing here is dealt all the same, and a wrong figure costs balance alone.
 */
const SECONDS: Readonly<Record<string, number>> = {
  "chaos/short": 95,
  "upgrade/rolling": 80,
  "upgrade/streams-too-early": 18,
  "contrast/contrast": 38,
  "fresh-clone": 105,
  "bench/tiny": 75,
  "chaos/sabotage": 80,
  "processes/kill-ingest": 55,
  "storm/short": 54,
  "processes/kill-consumer": 38,
  "processes/pause": 35,
  "interleavings/pairs": 91,
  "cli/recover": 35,
  "recovery/paid": 28,
  "jobs/webhooks": 27,
  "jobs/slow-receivers": 35,
  "locks/session-locks": 27,
  "http/checkout/live": 28,
  "processes/redelivery": 22,
  "processes/signals": 22,
  "processes/kill-postgres": 20,
  "processes/fail-over-postgres": 24,
  "processes/fail-over-redis": 50,
  "consumers/shards": 30,
  "processes/standby-behind": 16,
  "settlement/synchronous-standby": 24,
  "machine/postgres-standby": 18,
  "interleavings/recovery": 41,
  "recovery/processing": 18,
  "consumers/consumer": 18,
  "consumers/network": 45,
  "consumers/ingest-faults": 18,
  "machine/postgres": 18,
  "sandbox/feeds": 18,
  "webhooks/deliver": 18,
  "processes/kill-webhooks": 16,
  "processes/kill-charges": 14,
  "processes/charges-stripe": 46,
  "processes/charges-stellar": 54,
  "processes/charges-meeting": 22,
  "charges/random-faults": 18,
  "jobs/charges": 11,
  "history/partitions": 14,
  "history/detach": 8,
  "entities/partitions": 9,
  "cli/partitions": 10,
  "jobs/submissions": 16,
  "cli/exceptions": 15,
  "http/ops/browser": 15,
  "metrics/role-metrics": 15,
  "metrics/role-probes": 12,
  "jobs/liveness": 15,
  "audit/audit": 12,
  "audit/audit-charges": 8,
  "settlement/settle-charges": 8,
  "processes/kill-submissions": 12,
  "interleavings/world": 12,
  "http/checkout/accessible": 12,
  "http/idempotency": 12,
  "http/scoping": 30,
  "up/up": 45,
  "deploy/compose": 15,
  "http/growth": 12,
  "http/limits": 8,
  "http/bodies": 8,
  "clients/clients": 20,
  "cli/printing": 45,
  "cli/charges": 10,
};

/** What a file takes that is not listed. */
const USUAL_SECONDS = 3;

/** Deals out files so that both halves take about as long: the longest first, each to the half that has less. */
export function halves(files: readonly string[]): readonly [readonly string[], readonly string[]] {
  const first: Half = { files: [], seconds: 0 };
  const second: Half = { files: [], seconds: 0 };
  // By name where they take as long: the same files must make the same halves on each machine.
  const longestFirst = files.toSorted((a, b) => secondsOf(b) - secondsOf(a) || (a < b ? -1 : 1));
  for (const file of longestFirst) {
    const half = first.seconds <= second.seconds ? first : second;
    half.files.push(file);
    half.seconds += secondsOf(file);
  }
  return [first.files.sort(), second.files.sort()];
}

type Half = { readonly files: string[]; seconds: number };

function secondsOf(file: string): number {
  return SECONDS[nameOf(file)] ?? USUAL_SECONDS;
}

/** As in the list above: from dist/test/http/fuzz.test.js it is http/fuzz. */
export function nameOf(file: string): string {
  return file.replace(/^.*dist\/test\//, "").replace(/\.test\.js$/, "");
}
