import type { Config } from "../config.js";
import type { ExceptionReason } from "../entities/credit.js";
import type { ConditionName } from "../horizon/condition.js";
import type { Purpose } from "../horizon/http.js";
import type { LockMode } from "../locks/session-locks.js";
import type { Asset } from "../stellar/asset.js";
import type { Obstacle } from "../stellar/payable.js";
import type { Heartbeat } from "./heartbeat.js";

/** An entry of a stream that waits, by the network's clock. */
export type WaitingEntry = {
  readonly id: string;
  /** When its ledger closed; null where the entry does not say. */
  readonly closed_at: string | null;
  readonly age_seconds: number | null;
};

export type StreamStatus = {
  readonly tail: string;
  readonly backlog: number;
  readonly oldest_entry: string | null;
  /** The oldest credit that is not settled yet. */
  readonly oldest: WaitingEntry | null;
  readonly pending: number;
  /** The oldest that a consumer has taken and not acknowledged. */
  readonly oldest_pending: WaitingEntry | null;
  readonly leader: string | null;
  readonly consumers: readonly {
    readonly name: string;
    readonly pending: number;
    readonly idle_ms: number;
  }[];
};

/** One account; or all that are read from the network's feed, as `network`. */
export type AccountStatus = {
  readonly account: string;
  readonly watermark: string;
  readonly watermark_ledger: number;
  /** Up to which ledger it has been read and settled, as far as the server that was asked had it. */
  readonly read_through_ledger: number;
  readonly settled_through: string | null;
  readonly halted_because: string | null;
  /** Ledgers between what ingest has read of this account and Horizon's newest; null while not known. */
  readonly lag_ledgers: number | null;
  /** Null while Redis can't be asked. */
  readonly stream: StreamStatus | null;
};

/** The feed of the whole network, whose state stands among the accounts, as `network`. */
export type NetworkFeed = {
  /** How many are read from it; they are not among the accounts. */
  readonly accounts: number;
  /** Records that nobody could be found for; null while Redis can't be asked. */
  readonly set_apart: number | null;
};

/** Per minute, over the last minute and over the last five. */
export type Rate = { readonly last_minute: number; readonly last_5_minutes: number };

export type Throughput = {
  readonly credits_per_minute: Rate;
  readonly sessions_paid_per_minute: Rate;
  /** From the ledger's close to the commit, of the newest 1000 credits of the last five minutes; null without any. */
  readonly close_to_settled: {
    readonly p50_ms: number;
    readonly p99_ms: number;
    readonly credits: number;
  } | null;
};

export type Webhooks = {
  readonly pending: number;
  readonly sending: number;
  readonly dead: number;
  /** Age of the oldest event that an endpoint still has to hear of. */
  readonly oldest_seconds: number | null;
};

/** Exceptions that wait for a verdict. */
export type OpenExceptions = {
  readonly open: number;
  /** Since the oldest was recorded; null without any. */
  readonly oldest_seconds: number | null;
  readonly by_reason: Readonly<
    Record<ExceptionReason, { readonly open: number; readonly oldest_seconds: number | null }>
  >;
};

/** Value that arrived outside /payments, found by an audit: no session or charge is settled by it. */
export type OutsidePayments = {
  /** Those that no person has dealt with. */
  readonly open: number;
  /** Since the oldest of them was found; null without any. */
  readonly oldest_seconds: number | null;
};

/** What verdicts say is owed to senders. */
export type RefundsOwed = {
  readonly refunds: number;
  /** Those with the most refunds, 20 at the most. */
  readonly by_asset: readonly {
    readonly asset: Asset;
    readonly refunds: number;
    /** The sum, in decimal text with 7 decimals; it may be more than one payment can carry. */
    readonly amount: string;
  }[];
  /** Assets beyond those. */
  readonly more_assets: number;
};

/** Charges that have not ended. */
export type Charges = {
  readonly pending: number;
  readonly processing: number;
  readonly unknown: number;
  /** How long the oldest has waited that could be sent now, and that no worker takes; null without any. */
  readonly oldest_due_seconds: number | null;
  /** Since when nobody can say whether the oldest unknown one was made; null without any, or where its provider still decides. */
  readonly oldest_unknown_seconds: number | null;
};

export type Horizon = {
  readonly newest_ledger: number;
  readonly newest_closed_at: string | null;
  readonly newest_age_seconds: number | null;
};

/** What keeps payments from being seen, by its name; as the ingest role that reads the most accounts sees it. */
export type HorizonCondition = {
  readonly name: ConditionName;
  readonly since: string | null;
  readonly seconds: number | null;
  /** What the server said. */
  readonly detail: string;
};

/** The budget of requests to Horizon that all roles share; null where there is no limit. */
export type Requests = {
  readonly per_hour: number;
  /** Requests that may be made at once now. */
  readonly left: number | null;
  readonly used_last_hour: number;
  /** The same, by what they were for. */
  readonly used: Readonly<Record<Purpose, number>>;
  /** Whether the server has refused one for its rate limit within the last minute. */
  readonly refused: boolean;
};

/** How accounts are read, and why so. */
export type Reading = { readonly from: "accounts" | "network"; readonly why: string };

/** The newest finished audit of each account, together. */
export type LastAudit = {
  readonly finished_at: string;
  readonly age_seconds: number;
  readonly accounts: number;
  /** Between the books and the network, or within the books. Nought, or something is wrong. */
  readonly differences: number;
};

/** The newest run of recovery that ended. */
export type LastRecovery = {
  readonly finished_at: string;
  readonly age_seconds: number;
  /** By that run. */
  readonly repaired: number;
  /** Looked at by that run and left for the next. */
  readonly waiting: number;
  /** Checks that could not be made, with the reason. */
  readonly failures: Readonly<Record<string, string>>;
  /** Findings of all runs that wait for a person. */
  readonly needs_person: number;
};

/** Whether the history's partitions are made in time. */
export type History = {
  /** Ledgers after the newest of the books that have a partition already. */
  readonly ledgers_ready: number;
  /** Credits that came when theirs had not been made; no more than 10000 are counted. */
  readonly unplaced: number;
  /** How long the oldest of them has lain there; null without any. */
  readonly unplaced_oldest_seconds: number | null;
};

/** Receiving accounts in which an asset that they are registered for can't arrive. */
export type Unpayable = {
  /** Pairs of account and asset. */
  readonly count: number;
  /** The same by what is in the way, `no_trustline` say. */
  readonly by_obstacle: Readonly<Record<Obstacle, number>>;
  /** Those that have been so for longest; no more than 10. */
  readonly longest: readonly {
    readonly account: string;
    readonly asset: string;
    /** Why, such as `no_trustline`. */
    readonly obstacle: string;
    readonly since: string;
  }[];
};

export type Status = {
  readonly healthy: boolean;
  /** The problems and what to do about each, most urgent first. */
  readonly problems: readonly string[];
  readonly at: string;
  readonly limits: StatusLimits;
  readonly postgres: { readonly reachable: boolean; readonly migrated: boolean };
  readonly redis: { readonly reachable: boolean };
  readonly locks: {
    readonly mode: LockMode;
    readonly servers: number;
    readonly answering: number;
    readonly quorum: boolean;
    /** Sums over the consumers that are alive, each since its start. */
    readonly acquired: number;
    readonly contended: number;
    readonly no_quorum: number;
  };
  /** Horizon's newest ledger, as the ingest roles see it; null while none tells. */
  readonly horizon: Horizon | null;
  /** Null while no ingest role tells. */
  readonly horizon_condition: HorizonCondition | null;
  readonly requests: Requests | null;
  /** Null while no ingest role leads the choice. */
  readonly reading: Reading | null;
  /** Age of the oldest credit that is not settled yet, over all streams. */
  readonly oldest_unsettled_seconds: number | null;
  readonly accounts: readonly AccountStatus[];
  /** Null while no account is read from it. */
  readonly network: NetworkFeed | null;
  readonly throughput: Throughput | null;
  readonly sessions: { readonly pending: number; readonly processing: number } | null;
  /** The open exceptions with this reason. */
  readonly unreadable: number | null;
  readonly exceptions: OpenExceptions | null;
  readonly outside_payments: OutsidePayments | null;
  readonly refunds_owed: RefundsOwed | null;
  readonly outbox_unrelayed: number | null;
  readonly outbox_oldest_seconds: number | null;
  readonly webhooks: Webhooks | null;
  readonly charges: Charges | null;
  readonly history: History | null;
  readonly unpayable: Unpayable | null;
  /** Processes that have given a sign of life lately; null while Redis can't be asked. */
  readonly roles: readonly Heartbeat[] | null;
  /** Null: not yet run. */
  readonly last_recovery: LastRecovery | null;
  /** Null: not yet run. */
  readonly last_audit: LastAudit | null;
};

/** From when on waiting is a problem, as configured. */
export type StatusLimits = {
  readonly cursor_lag_ledgers: number;
  readonly unsettled_seconds: number;
  readonly horizon_silent_seconds: number;
  /** Since the last run of recovery that ended. */
  readonly recovery_silent_seconds: number;
  readonly charge_unknown_seconds: number;
  /** Of outside payments too. */
  readonly exception_open_seconds: number;
};

/** From when on waiting is a problem: what the configuration says, and nothing else has a say in. */
export function statusLimits(config: Config): StatusLimits {
  return {
    cursor_lag_ledgers: config.ALERT_CURSOR_LAG_LEDGERS,
    unsettled_seconds: config.ALERT_UNSETTLED_SECONDS,
    horizon_silent_seconds: config.ALERT_HORIZON_SILENT_SECONDS,
    // Two runs may be missed: a restart, or one that takes long.
    recovery_silent_seconds: 3 * config.RECOVERY_EVERY_SECONDS,
    charge_unknown_seconds: config.ALERT_CHARGE_UNKNOWN_SECONDS,
    exception_open_seconds: config.ALERT_EXCEPTION_OPEN_SECONDS,
  };
}
