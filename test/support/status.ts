import { readConfig } from "../../src/config.js";
import { EXCEPTION_REASONS, type ExceptionReason } from "../../src/entities/credit.js";
import type {
  AccountStatus,
  OpenExceptions,
  Status,
  StreamStatus,
  Unpayable,
} from "../../src/status/status.js";
import { statusLimits } from "../../src/status/status.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { OBSTACLES } from "../../src/stellar/payable.js";
import { REQUIRED } from "../docs/configuration-page.js";

/** As a process has them whose environment says nothing of them. */
export const LIMITS = statusLimits(readConfig(REQUIRED));

/** Of so few that all of them are named. */
export function unpayable(longest: Unpayable["longest"]): Unpayable {
  const countOf = (one: string) => longest.filter(({ obstacle }) => obstacle === one).length;
  const counts = OBSTACLES.map((one) => [one, countOf(one)] as const);
  return {
    count: longest.length,
    by_obstacle: Object.fromEntries(counts) as Unpayable["by_obstacle"],
    longest,
  };
}

/** So many open exceptions, and the age in seconds of the oldest; of the other reasons there are none. */
export function openExceptions(
  waiting: Partial<Record<ExceptionReason, readonly [open: number, seconds: number]>>,
): OpenExceptions {
  const of = (reason: ExceptionReason) => {
    const [open, seconds] = waiting[reason] ?? [0, null];
    return [reason, { open, oldest_seconds: seconds }] as const;
  };
  const all = Object.values(waiting);
  return {
    open: all.reduce((sum, [open]) => sum + open, 0),
    oldest_seconds: all.length === 0 ? null : Math.max(...all.map(([, seconds]) => seconds)),
    by_reason: Object.fromEntries(EXCEPTION_REASONS.map(of)) as OpenExceptions["by_reason"],
  };
}

/** A stream at rest, an account that is read, and a service where all is well: tests change what they are about. */
export const STREAM: StreamStatus = {
  tail: "257698085004644353-0",
  backlog: 0,
  oldest_entry: null,
  oldest: null,
  pending: 0,
  oldest_pending: null,
  leader: "host-1",
  consumers: [{ name: "host-2", pending: 0, idle_ms: 700 }],
};

export const ACCOUNT: AccountStatus = {
  account: "GACCOUNT",
  watermark: "257698085004644353",
  watermark_ledger: 60_000_010,
  read_through_ledger: 60_000_010,
  settled_through: "2026-11-21T11:13:53.000Z",
  halted_because: null,
  lag_ledgers: 2,
  stream: STREAM,
};

export const LOCKS: Status["locks"] = {
  mode: "optional",
  servers: 3,
  answering: 3,
  quorum: true,
  acquired: 40,
  contended: 2,
  no_quorum: 0,
};

export const CHARGES: NonNullable<Status["charges"]> = {
  pending: 2,
  processing: 1,
  unknown: 0,
  oldest_due_seconds: null,
  oldest_unknown_seconds: null,
};

export const WELL: Omit<Status, "healthy" | "problems"> = {
  at: "2026-11-21T11:14:00.000Z",
  limits: LIMITS,
  postgres: { reachable: true, migrated: true },
  redis: { reachable: true },
  locks: LOCKS,
  horizon: {
    newest_ledger: 60_000_012,
    newest_closed_at: "2026-11-21T11:13:56.000Z",
    newest_age_seconds: 4,
  },
  horizon_condition: { name: "ok", since: null, seconds: null, detail: "" },
  requests: {
    per_hour: 3_600,
    left: 80,
    used_last_hour: 1_500,
    used: { submission: 20, feed: 1_400, check: 70, audit: 10 },
    refused: false,
  },
  reading: { from: "accounts", why: "one account costs least by its own pages" },
  oldest_unsettled_seconds: null,
  accounts: [ACCOUNT],
  network: null,
  throughput: {
    credits_per_minute: { last_minute: 42, last_5_minutes: 40.4 },
    sessions_paid_per_minute: { last_minute: 33, last_5_minutes: 32 },
    close_to_settled: { p50_ms: 420, p99_ms: 1_900, credits: 202 },
  },
  sessions: { pending: 5, processing: 0 },
  unreadable: 0,
  exceptions: openExceptions({ late: [3, 86_400], no_memo: [1, 60] }),
  outside_payments: { open: 0, oldest_seconds: null },
  refunds_owed: {
    refunds: 1,
    by_asset: [{ asset: NATIVE, refunds: 1, amount: "12.5000000" }],
    more_assets: 0,
  },
  outbox_unrelayed: 9,
  outbox_oldest_seconds: 1,
  webhooks: { pending: 3, sending: 1, dead: 0, oldest_seconds: 12 },
  charges: CHARGES,
  history: { ledgers_ready: 1_600_000, unplaced: 0, unplaced_oldest_seconds: null },
  unpayable: unpayable([]),
  roles: [
    {
      role: "consume",
      name: "host-2",
      pid: 7,
      started_at: "2026-11-21T10:00:00.000Z",
      silent_ms: 900,
      alive: true,
      figures: { locks_acquired: "40" },
    },
  ],
  last_recovery: null,
  last_audit: null,
};

export function withStream(stream: Partial<StreamStatus>): typeof WELL {
  return { ...WELL, accounts: [{ ...ACCOUNT, stream: { ...STREAM, ...stream } }] };
}
