import { Gauge, type Registry } from "prom-client";

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
