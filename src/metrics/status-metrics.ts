import { Gauge, type Registry } from "prom-client";
import type { AccountStatus, OpenExceptions, Status } from "../status/status.js";

type Value = number | null | undefined;

type Figure = {
  readonly name: string;
  readonly help: string;
  readonly label: string | null;
  /** The samples, by the label's values. Without a label there is one. */
  readonly read: (status: Status) => readonly (readonly [string, Value])[];
};

const yes = (is: boolean) => (is ? 1 : 0);

const by = (label: string, name: string, help: string, read: Figure["read"]): Figure => ({
  name,
  help,
  label,
  read,
});

const value = (name: string, help: string, read: (status: Status) => Value): Figure => ({
  name,
  help,
  label: null,
  read: (status) => [["", read(status)]],
});

const ofAccounts = (name: string, help: string, read: (account: AccountStatus) => Value): Figure =>
  by("account", name, help, ({ accounts }) => accounts.map((status) => [status.account, read(status)]));

const ofReasons = (
  name: string,
  help: string,
  read: (of: OpenExceptions["by_reason"]["late"]) => Value,
): Figure =>
  by("reason", name, help, ({ exceptions }) =>
    Object.entries(exceptions?.by_reason ?? {}).map(([reason, of]) => [reason, read(of)]),
  );

/** The status as gauges. What is not known has no sample: an absent series is not a zero. */
const FIGURES: readonly Figure[] = [
  value("paidonce_healthy", "1 while nothing needs a person.", ({ healthy }) => yes(healthy)),
  value("paidonce_problems", "What needs a person; GET /v1/status has the words.", (s) => s.problems.length),
  by(
    "limit",
    "paidonce_limit",
    "From when on waiting is a problem, as configured; the alerts compare with it.",
    ({ limits }) => Object.entries(limits),
  ),
  value("paidonce_postgres_reachable", "1 while Postgres answers.", (s) => yes(s.postgres.reachable)),
  value("paidonce_redis_reachable", "1 while Redis answers.", (s) => yes(s.redis.reachable)),
  value("paidonce_lock_servers_answering", "Lock servers that answer.", (s) => s.locks.answering),
  value("paidonce_lock_quorum", "1 while a majority of the lock servers answers, or none is asked.", (s) =>
    yes(s.locks.quorum),
  ),
  by("window", "paidonce_credits_per_minute", "Credits recorded per minute.", ({ throughput }) => [
    ["1m", throughput?.credits_per_minute.last_minute],
    ["5m", throughput?.credits_per_minute.last_5_minutes],
  ]),
  by("window", "paidonce_sessions_paid_per_minute", "Sessions paid per minute.", ({ throughput }) => [
    ["1m", throughput?.sessions_paid_per_minute.last_minute],
    ["5m", throughput?.sessions_paid_per_minute.last_5_minutes],
  ]),
  by(
    "quantile",
    "paidonce_close_to_settled_seconds",
    "From a ledger's close to the record, of the newest credits of five minutes.",
    ({ throughput }) => {
      const times = throughput?.close_to_settled;
      if (times === null || times === undefined) return [];
      return [
        ["0.5", times.p50_ms / 1000],
        ["0.99", times.p99_ms / 1000],
      ];
    },
  ),
  value(
    "paidonce_oldest_unsettled_seconds",
    "Age of the oldest credit that is not settled, since its ledger closed; 0 without any.",
    (s) => (s.redis.reachable ? (s.oldest_unsettled_seconds ?? 0) : null),
  ),
  value(
    "paidonce_horizon_newest_ledger",
    "Horizon's newest ledger, as ingest knows it.",
    (s) => s.horizon?.newest_ledger,
  ),
  value(
    "paidonce_horizon_newest_age_seconds",
    "Time since that ledger closed.",
    (s) => s.horizon?.newest_age_seconds,
  ),
  by(
    "condition",
    "paidonce_horizon_condition",
    "1 for the condition that Horizon is in: ok, limited, page_too_large, behind, away or paused.",
    ({ horizon_condition: condition }) => (condition === null ? [] : [[condition.name, 1]]),
  ),
  value(
    "paidonce_horizon_requests_per_hour",
    "Requests to Horizon that the configuration allows in an hour; none where there is no limit.",
    (s) => s.requests?.per_hour,
  ),
  value(
    "paidonce_horizon_requests_left",
    "Requests to Horizon that may be made at once now.",
    (s) => s.requests?.left,
  ),
  by(
    "purpose",
    "paidonce_horizon_requests_used",
    "Requests to Horizon of the last hour, by what they were for.",
    ({ requests }) => (requests === null ? [] : Object.entries(requests.used)),
  ),
  value(
    "paidonce_horizon_refused",
    "1 while Horizon has refused a request for its rate limit within the last minute.",
    ({ requests }) => (requests === null ? null : yes(requests.refused)),
  ),
  ofAccounts(
    "paidonce_ingest_lag_ledgers",
    "Ledgers between Horizon's newest and what ingest has read.",
    (account) => account.lag_ledgers,
  ),
  ofAccounts("paidonce_ingest_halted", "1 while ingest of the account is stopped with an alarm.", (account) =>
    yes(account.halted_because !== null),
  ),
  ofAccounts("paidonce_ingest_led", "1 while somebody leads the ingest of the account.", ({ stream }) =>
    stream === null ? null : yes(stream.leader !== null),
  ),
  ofAccounts("paidonce_stream_backlog", "Entries that are not settled yet.", ({ stream }) => stream?.backlog),
  ofAccounts(
    "paidonce_stream_pending",
    "Entries that a consumer has taken and not acknowledged.",
    ({ stream }) => stream?.pending,
  ),
  ofAccounts(
    "paidonce_stream_oldest_seconds",
    "Age of the stream's oldest entry, since its ledger closed.",
    ({ stream }) => stream && (stream.oldest?.age_seconds ?? 0),
  ),
  value("paidonce_network_set_apart", "Records of the network's feed that nobody could be found for.", (s) =>
    s.network === null ? 0 : s.network.set_apart,
  ),
  by("role", "paidonce_roles_alive", "Processes of a role that gave a sign of life lately.", ({ roles }) =>
    roles === null
      ? []
      : ["ingest", "consume", "work", "api"].map((role) => [
          role,
          roles.filter((beat) => beat.role === role && beat.alive).length,
        ]),
  ),
  by("status", "paidonce_sessions", "Sessions that are open, by status.", ({ sessions }) => [
    ["pending", sessions?.pending],
    ["processing", sessions?.processing],
  ]),
  value("paidonce_unreadable_credits", "Unreadable credits that wait for a person.", (s) => s.unreadable),
  value(
    "paidonce_history_ledgers_ready",
    "Ledgers to come that have a partition; about 17000 a day are used up.",
    (s) => s.history?.ledgers_ready,
  ),
  value(
    "paidonce_history_unplaced_credits",
    "Credits in the default partition, which wait to be moved where they belong.",
    (s) => s.history?.unplaced,
  ),
  by(
    "obstacle",
    "paidonce_accounts_unpayable",
    "Pairs of receiving account and asset in which nothing can arrive, by what is in the way.",
    ({ unpayable }) =>
      Object.entries(unpayable?.by_obstacle ?? {}).map(([obstacle, count]) => [obstacle, count]),
  ),
  ofReasons("paidonce_exceptions_open", "Exceptions that wait for a verdict, by reason.", ({ open }) => open),
  ofReasons(
    "paidonce_exceptions_oldest_seconds",
    "How long the oldest of them waits, by reason; 0 without any.",
    ({ oldest_seconds: oldest }) => oldest ?? 0,
  ),
  value(
    "paidonce_outside_payments_open",
    "Payments that arrived outside /payments and that no person has dealt with.",
    (s) => s.outside_payments?.open,
  ),
  value(
    "paidonce_outside_payments_oldest_seconds",
    "Time since the oldest of them was found; 0 without any.",
    (s) => s.outside_payments && (s.outside_payments.oldest_seconds ?? 0),
  ),
  by(
    "asset",
    "paidonce_refunds_owed",
    "Refunds that verdicts say are owed, by asset: the 20 with the most.",
    ({ refunds_owed: owed }) => (owed?.by_asset ?? []).map(({ asset, refunds }) => [asset, refunds]),
  ),
  by(
    "asset",
    "paidonce_refunds_owed_amount",
    "Their sums, in units of the asset; GET /v1/status has them exactly.",
    ({ refunds_owed: owed }) => (owed?.by_asset ?? []).map(({ asset, amount }) => [asset, Number(amount)]),
  ),
  by("status", "paidonce_charges", "Charges that have not ended.", ({ charges }) => [
    ["pending", charges?.pending],
    ["processing", charges?.processing],
    ["unknown", charges?.unknown],
  ]),
  value(
    "paidonce_charge_unknown_oldest_seconds",
    "How long nobody knows whether the oldest unknown charge was made; 0 without any.",
    (s) => s.charges && (s.charges.oldest_unknown_seconds ?? 0),
  ),
  value(
    "paidonce_charge_due_oldest_seconds",
    "How long the oldest charge waits that no worker takes; 0 without any.",
    (s) => s.charges && (s.charges.oldest_due_seconds ?? 0),
  ),
  value(
    "paidonce_recovery_age_seconds",
    "Time since the newest run of recovery ended.",
    (s) => s.last_recovery?.age_seconds,
  ),
  value(
    "paidonce_recovery_needs_person",
    "Findings of recovery that wait for a person.",
    (s) => s.last_recovery?.needs_person,
  ),
  value(
    "paidonce_audit_differences",
    "What the newest audits of all accounts found.",
    (s) => s.last_audit?.differences,
  ),
  value("paidonce_audit_age_seconds", "Time since the newest audit ended.", (s) => s.last_audit?.age_seconds),
  value("paidonce_outbox_unrelayed", "Events that wait in the outbox.", (s) => s.outbox_unrelayed),
  value("paidonce_outbox_oldest_seconds", "Age of the oldest of them; 0 without any.", (s) =>
    s.outbox_unrelayed === null ? null : (s.outbox_oldest_seconds ?? 0),
  ),
  by(
    "state",
    "paidonce_webhook_deliveries",
    "Webhook deliveries that are not done, by state; dead ones were given up.",
    ({ webhooks }) => [
      ["pending", webhooks?.pending],
      ["sending", webhooks?.sending],
      ["dead", webhooks?.dead],
    ],
  ),
  value(
    "paidonce_webhook_oldest_seconds",
    "Age of the oldest event that an endpoint still has to hear of; 0 without any.",
    (s) => s.webhooks && (s.webhooks.oldest_seconds ?? 0),
  ),
];

/** @returns to be given a status before each scrape */
export function statusMetrics(registry: Registry): (status: Status) => void {
  const gauges = FIGURES.map(({ name, help, label, read }) => {
    const labelNames = label === null ? [] : [label];
    return { label, read, gauge: new Gauge({ name, help, labelNames, registers: [registry] }) };
  });
  return (status) => {
    for (const { label, read, gauge } of gauges) {
      // An account that is gone, or a figure that is not known now, must not keep its last value.
      gauge.reset();
      if (label === null) gauge.remove();
      for (const [of, sample] of read(status)) {
        if (sample !== null && sample !== undefined) gauge.set(label === null ? {} : { [label]: of }, sample);
      }
    }
  };
}
