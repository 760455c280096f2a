/**
 * src/metrics: figures for Prometheus. Roles call observers (src/consumers/observers.ts) that know nothing of it;
 * nothing here decides anything. Every name begins with `paidonce_`; ops/ has a dashboard and alerts that use them.
 */
import { collectDefaultMetrics, Registry } from "prom-client";

/** The figures of one process, with those of Node itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "paidonce_" });
  return registry;
}
