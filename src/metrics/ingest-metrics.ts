import { Counter, Gauge, type Registry } from "prom-client";
import type { IngestObserver } from "../consumers/observers.js";
import type { FeedName } from "../consumers/stream-keys.js";
import type { HorizonRoot } from "../horizon/client.js";
import { ledgerOf } from "../stellar/operation-id.js";

export type IngestMetrics = IngestObserver & {
  /** For the heartbeat: Horizon's newest ledger as last heard, and how far the account that is last has been read. */
  readonly figures: () => Record<string, string | number>;
};

/**
 * The figures of one `ingest` process.
 * @param lastHeard what Horizon last said about its ledgers
 */
export function ingestMetrics(registry: Registry, lastHeard: () => HorizonRoot | null): IngestMetrics {
  const registers = [registry];
  const ledgers = new Map<FeedName, number>();
  const appended = new Counter({
    name: "paidonce_entries_appended_total",
    help: "Entries appended to the streams.",
    registers,
  });
  new Gauge({
    name: "paidonce_ingest_cursor_lag_ledgers",
    help: "Ledgers between Horizon's newest and how far the account (or `network`) has been read, for those led here.",
    labelNames: ["account"],
    registers,
    collect() {
      this.reset();
      const newest = lastHeard()?.historyLatestLedger;
      if (newest === undefined) return;
      for (const [account, ledger] of ledgers) this.set({ account }, Math.max(0, newest - ledger));
    },
  });
  return {
    appended: (entries) => appended.inc(entries),
    read: (account, cursor) => ledgers.set(account, ledgerOf(cursor)),
    left: (account) => ledgers.delete(account),
    figures: () => {
      const root = lastHeard();
      if (root === null) return {};
      const last = [...ledgers.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
      return {
        newest_ledger: root.historyLatestLedger,
        ...(root.historyLatestClosedAt && { newest_closed_at: root.historyLatestClosedAt.toISOString() }),
        accounts_led: ledgers.size,
        ...(ledgers.size > 0 && { cursor: last }),
      };
    },
  };
}
