import { Counter, Gauge, type Registry } from "prom-client";
import type { ChargeObserver } from "../jobs/charge-queue.js";

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
