import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Finding } from "../findings/findings-log.js";
import type { RequestObserver } from "../horizon/http.js";
import type { ChargeObserver } from "../jobs/charge-queue.js";

/** The figures of one process, with those of Node itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "paidonce_" });
  return registry;
}

/** Counts what recovery finds in one `work` process. @returns to be told of each finding */
export function recoveryMetrics(registry: Registry): (finding: Finding) => void {
  const found = new Counter({
    name: "paidonce_recovery_findings_total",
    help: "What recovery found, by kind, and what it did about it; needs_person: nothing.",
    labelNames: ["kind", "action"],
    registers: [registry],
  });
  return ({ kind, action }) => found.inc({ kind, action });
}

/** The figures of charges in one `work` process. */
export function chargeMetrics(registry: Registry): ChargeObserver {
  const registers = [registry];
  const attempts = new Counter({
    name: "paidonce_charge_attempts_total",
    help: "Attempts at charges, by provider and by the last thing that it said.",
    labelNames: ["provider", "outcome"],
    registers,
  });
  const open = new Gauge({
    name: "paidonce_charge_breaker_open",
    help: "1 while a provider fails so that this process sends it nothing but a probe now and then.",
    labelNames: ["provider"],
    registers,
  });
  return {
    attempted: (provider, outcome) => attempts.inc({ provider, outcome }),
    breaker: (provider, isOpen) => open.set({ provider }, isOpen ? 1 : 0),
  };
}

/** Read at each scrape. */
type Replica = { readonly isUsed: boolean; readonly lagMs: number | null };

/** Only where a replica is configured: an absent series is not a replica that is away. */
export function replicaMetrics(registry: Registry, replica: Replica): void {
  new Gauge({
    name: "paidonce_replica_used",
    help: "1 while lists and exports come from the replica.",
    registers: [registry],
    collect() {
      this.set(replica.isUsed ? 1 : 0);
    },
  });
  new Gauge({
    name: "paidonce_replica_lag_seconds",
    help: "How far the replica is behind the primary; no sample while that is not known.",
    registers: [registry],
    collect() {
      this.reset();
      if (replica.lagMs !== null) this.set(replica.lagMs / 1000);
    },
  });
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** @returns to be told of each answered request; `route` is the template, never the path: ids would grow without end */
export function httpMetrics(
  registry: Registry,
): (request: { method: string; route: string; status: number; seconds: number }) => void {
  const histogram = new Histogram({
    name: "paidonce_http_request_seconds",
    help: "Time to answer a request, by method, route and status.",
    labelNames: ["method", "route", "status"],
    buckets: SECONDS,
    registers: [registry],
  });
  return ({ method, route, status, seconds }) =>
    histogram.observe({ method, route, status: String(status) }, seconds);
}

/** What one process asks of Horizon, by what for and with what result: a status, or why there was none. */
export function horizonMetrics(registry: Registry): RequestObserver {
  const registers = [registry];
  const requests = new Counter({
    name: "paidonce_horizon_requests_total",
    help: "Requests to Horizon, by what they were for and how they ended (HTTP status, or why there was no whole answer).",
    labelNames: ["purpose", "outcome"],
    registers,
  });
  const bytes = new Counter({
    name: "paidonce_horizon_bytes_total",
    help: "Bytes of Horizon's answers, after decompression.",
    labelNames: ["purpose"],
    registers,
  });
  return {
    answered: (purpose, status, size) => {
      requests.inc({ purpose, outcome: String(status) });
      bytes.inc({ purpose }, size);
    },
    failed: (purpose, { kind, status }) => {
      // An answer's status is counted already.
      if (status === null) requests.inc({ purpose, outcome: kind });
    },
  };
}
