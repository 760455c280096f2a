import { Counter, Histogram, type Registry } from "prom-client";
import type { SettlementObserver } from "../consumers/settle-batch.js";
import type { LockResult } from "../locks/session-locks.js";
import type { Settlement } from "../settlement/settle.js";

/** From a ledger's close to the commit: 50 ms to 10 min, fine where an objective of seconds is drawn. */
const SETTLEMENT_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 600];

/** A majority of lock servers answers within milliseconds, or runs into time-outs of half a second. */
const LOCK_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const BATCH_SIZES = [1, 2, 5, 10, 25, 50, 100, 200, 500, 1_000, 2_000];

export type ConsumerMetrics = SettlementObserver & {
  readonly locksAsked: (result: LockResult, waitedMs: number) => void;
};

/** The figures of one `consume` process. */
export function consumerMetrics(registry: Registry): ConsumerMetrics {
  const registers = [registry];
  const seconds = new Histogram({
    name: "paidonce_settlement_seconds",
    help: "Time from a credit's ledger close to its commit.",
    buckets: SETTLEMENT_SECONDS,
    registers,
  });
  const settled = new Counter({
    name: "paidonce_credits_settled_total",
    help: "Credits settled, by outcome: payment, the reason of an exception, or redelivered.",
    labelNames: ["outcome"],
    registers,
  });
  const sizes = new Histogram({
    name: "paidonce_batch_entries",
    help: "Entries that were settled in one transaction.",
    buckets: BATCH_SIZES,
    registers,
  });
  const conflicts = new Counter({
    name: "paidonce_conflicts_retried_total",
    help: "Transactions that ran into another one and were tried again.",
    registers,
  });
  const waits = new Histogram({
    name: "paidonce_lock_wait_seconds",
    help: "Time to acquire the locks of a batch, by result: acquired, contended, no_quorum.",
    labelNames: ["result"],
    buckets: LOCK_SECONDS,
    registers,
  });
  return {
    batch: (entries) => sizes.observe(entries),
    conflict: () => conflicts.inc(),
    settled: (settlement, at) => {
      settled.inc({ outcome: outcomeOf(settlement) });
      // A redelivered credit was settled before: its time now says nothing.
      if (settlement.kind === "redelivered" || settlement.movement.kind !== "credit") return;
      seconds.observe(Math.max(0, at.getTime() - settlement.movement.closedAt.getTime()) / 1000);
    },
    locksAsked: (result, waitedMs) => waits.observe({ result }, waitedMs / 1000),
  };
}

function outcomeOf(settlement: Settlement): string {
  if (settlement.kind === "redelivered") return "redelivered";
  return settlement.outcome.kind === "exception" ? settlement.outcome.reason : "payment";
}
