import { Counter, type Registry } from "prom-client";
import type { Finding } from "../recovery/finding.js";

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
