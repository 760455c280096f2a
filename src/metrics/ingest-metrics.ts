import { Counter, Gauge, type Registry } from "prom-client";
import type { Condition } from "../horizon/condition.js";
import type { LedgerHead } from "../horizon/reach.js";
import type { IngestObserver } from "../ingest/feed.js";
import type { ReadingChoice } from "../ingest/network-mode.js";
import { ledgerOf } from "../stellar/operation-id.js";
import type { FeedName } from "../stream/stream-keys.js";

export type IngestMetrics = IngestObserver & {
  /** For the heartbeat: Horizon's newest ledger and condition, how accounts are read, and how far the last of them. */
  readonly figures: () => Record<string, string | number>;
};

/** What this process last saw of the server. */
export type ServerSeen = {
  readonly newest: () => LedgerHead | null;
  readonly condition: () => Condition;
};

/** The figures of one `ingest` process. */
export function ingestMetrics(registry: Registry, server: ServerSeen): IngestMetrics {
  const registers = [registry];
  const ledgers = new Map<FeedName, number>();
  let choice: ReadingChoice | null = null;
  const appended = new Counter({
    name: "paidonce_entries_appended_total",
    help: "Entries appended to the streams.",
    registers,
  });
  new Gauge({
    name: "paidonce_ingest_lag_ledgers",
    help: "Ledgers between Horizon's newest and what ingest has read.",
    labelNames: ["account"],
    registers,
    collect() {
      this.reset();
      const newest = server.newest()?.sequence;
      if (newest === undefined) return;
      for (const [account, ledger] of ledgers) this.set({ account }, Math.max(0, newest - ledger));
    },
  });
  return {
    appended: (entries) => appended.inc(entries),
    read: (account, cursor) => ledgers.set(account, ledgerOf(cursor)),
    left: (account) => ledgers.delete(account),
    chose: (chosen) => {
      choice = chosen;
    },
    figures: () => {
      const newest = server.newest();
      const { name, since, detail } = server.condition();
      const last = [...ledgers.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
      return {
        horizon_condition: name,
        ...(since !== null && { horizon_condition_since: since.toISOString() }),
        ...(detail !== "" && { horizon_condition_detail: detail.slice(0, 300) }),
        ...(choice !== null && {
          reading: choice.together ? "network" : "accounts",
          reading_why: choice.why,
        }),
        ...(newest !== null && {
          newest_ledger: newest.sequence,
          newest_closed_at: newest.closedAt.toISOString(),
          accounts_led: ledgers.size,
          ...(ledgers.size > 0 && { cursor: last }),
        }),
      };
    },
  };
}
