import { Gauge, type Registry } from "prom-client";
import type { AccountStatus, OpenExceptions, Status } from "../status/status.js";

type Sample = readonly [labels: Record<string, string>, value: number | null | undefined];

type Figure = {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: (status: Status) => readonly Sample[];
};

const yes = (value: boolean) => (value ? 1 : 0);
const one = (value: number | null | undefined): readonly Sample[] => [[{}, value]];
const ofAccounts =
  (read: (account: AccountStatus) => number | null | undefined) =>
  ({ accounts }: Status): readonly Sample[] =>
    accounts.map((status) => [{ account: status.account }, read(status)]);

const ofReasons = (
  exceptions: OpenExceptions | null,
  read: (of: OpenExceptions["by_reason"]["late"]) => number,
): readonly Sample[] =>
  Object.entries(exceptions?.by_reason ?? {}).map(([reason, of]) => [{ reason }, read(of)]);

/** The status as gauges. What is not known has no sample: an absent series is not a zero. */
const FIGURES: readonly Figure[] = [
  {
    name: "paidonce_healthy",
    help: "1 while nothing needs a person.",
    read: ({ healthy }) => one(yes(healthy)),
  },
  {
    name: "paidonce_problems",
    help: "What needs a person; GET /v1/status has the words.",
    read: (s) => one(s.problems.length),
  },
  {
    name: "paidonce_limit",
    help: "From when on waiting is a problem, as configured; the alerts compare with it.",
    labels: ["limit"],
    read: ({ limits }) => Object.entries(limits).map(([limit, value]) => [{ limit }, value]),
  },
  {
    name: "paidonce_postgres_reachable",
    help: "1 while Postgres answers.",
    read: (s) => one(yes(s.postgres.reachable)),
  },
  {
    name: "paidonce_redis_reachable",
    help: "1 while Redis answers.",
    read: (s) => one(yes(s.redis.reachable)),
  },
  {
    name: "paidonce_lock_servers_answering",
    help: "Lock servers that answer.",
    read: (s) => one(s.locks.answering),
  },
  {
    name: "paidonce_lock_quorum",
    help: "1 while a majority of the lock servers answers, or none is asked.",
    read: (s) => one(yes(s.locks.quorum)),
  },
  {
    name: "paidonce_credits_per_minute",
    help: "Credits recorded per minute.",
    labels: ["window"],
    read: ({ throughput }) => [
      [{ window: "1m" }, throughput?.credits_per_minute.last_minute],
      [{ window: "5m" }, throughput?.credits_per_minute.last_5_minutes],
    ],
  },
  {
    name: "paidonce_sessions_paid_per_minute",
    help: "Sessions paid per minute.",
    labels: ["window"],
    read: ({ throughput }) => [
      [{ window: "1m" }, throughput?.sessions_paid_per_minute.last_minute],
      [{ window: "5m" }, throughput?.sessions_paid_per_minute.last_5_minutes],
    ],
  },
  {
    name: "paidonce_close_to_settled_seconds",
    help: "From a ledger's close to the record, of the newest credits of five minutes.",
    labels: ["quantile"],
    read: ({ throughput }) => {
      const times = throughput?.close_to_settled;
      if (times === null || times === undefined) return [];
      return [
        [{ quantile: "0.5" }, times.p50_ms / 1000],
        [{ quantile: "0.99" }, times.p99_ms / 1000],
      ];
    },
  },
  {
    name: "paidonce_oldest_unsettled_seconds",
    help: "Age of the oldest credit that is not settled, since its ledger closed; 0 without any.",
    read: (s) => one(s.redis.reachable ? (s.oldest_unsettled_seconds ?? 0) : null),
  },
  {
    name: "paidonce_horizon_newest_ledger",
    help: "Horizon's newest ledger, as ingest knows it.",
    read: (s) => one(s.horizon?.newest_ledger),
  },
  {
    name: "paidonce_horizon_newest_age_seconds",
    help: "Time since that ledger closed.",
    read: (s) => one(s.horizon?.newest_age_seconds),
  },
  {
    name: "paidonce_horizon_condition",
    help: "1 for the condition that Horizon is in: ok, limited, page_too_large, behind, away or paused.",
    labels: ["condition"],
    read: ({ horizon_condition: condition }) =>
      condition === null ? [] : [[{ condition: condition.name }, 1]],
  },
  {
    name: "paidonce_horizon_requests_per_hour",
    help: "Requests to Horizon that the configuration allows in an hour; none where there is no limit.",
    read: (s) => one(s.requests?.per_hour),
  },
  {
    name: "paidonce_horizon_requests_left",
    help: "Requests to Horizon that may be made at once now.",
    read: (s) => one(s.requests?.left),
  },
  {
    name: "paidonce_horizon_requests_used",
    help: "Requests to Horizon of the last hour, by what they were for.",
    labels: ["purpose"],
    read: ({ requests }) =>
      requests === null ? [] : Object.entries(requests.used).map(([purpose, used]) => [{ purpose }, used]),
  },
  {
    name: "paidonce_horizon_refused",
    help: "1 while Horizon has refused a request for its rate limit within the last minute.",
    read: ({ requests }) => (requests === null ? [] : one(yes(requests.refused))),
  },
  {
    name: "paidonce_ingest_lag_ledgers",
    help: "Ledgers between Horizon's newest and what ingest has read.",
    labels: ["account"],
    read: ofAccounts((account) => account.lag_ledgers),
  },
  {
    name: "paidonce_ingest_halted",
    help: "1 while ingest of the account is stopped with an alarm.",
    labels: ["account"],
    read: ofAccounts((account) => yes(account.halted_because !== null)),
  },
  {
    name: "paidonce_ingest_led",
    help: "1 while somebody leads the ingest of the account.",
    labels: ["account"],
    read: ofAccounts(({ stream }) => (stream === null ? null : yes(stream.leader !== null))),
  },
  {
    name: "paidonce_stream_backlog",
    help: "Entries that are not settled yet.",
    labels: ["account"],
    read: ofAccounts(({ stream }) => stream?.backlog),
  },
  {
    name: "paidonce_stream_pending",
    help: "Entries that a consumer has taken and not acknowledged.",
    labels: ["account"],
    read: ofAccounts(({ stream }) => stream?.pending),
  },
  {
    name: "paidonce_stream_oldest_seconds",
    help: "Age of the stream's oldest entry, since its ledger closed.",
    labels: ["account"],
    read: ofAccounts(({ stream }) => stream && (stream.oldest?.age_seconds ?? 0)),
  },
  {
    name: "paidonce_network_set_apart",
    help: "Records of the network's feed that nobody could be found for.",
    read: (s) => one(s.network === null ? 0 : s.network.set_apart),
  },
  {
    name: "paidonce_roles_alive",
    help: "Processes of a role that gave a sign of life lately.",
    labels: ["role"],
    read: ({ roles }) =>
      roles === null
        ? []
        : ["ingest", "consume", "work", "api"].map((role) => [
            { role },
            roles.filter((beat) => beat.role === role && beat.alive).length,
          ]),
  },
  {
    name: "paidonce_sessions",
    help: "Sessions that are open, by status.",
    labels: ["status"],
    read: ({ sessions }) => [
      [{ status: "pending" }, sessions?.pending],
      [{ status: "processing" }, sessions?.processing],
    ],
  },
  {
    name: "paidonce_unreadable_credits",
    help: "Unreadable credits that wait for a person.",
    read: (s) => one(s.unreadable),
  },
  {
    name: "paidonce_history_ledgers_ready",
    help: "Ledgers to come that have a partition; about 17000 a day are used up.",
    read: (s) => one(s.history?.ledgers_ready),
  },
  {
    name: "paidonce_history_unplaced_credits",
    help: "Credits in the default partition, which wait to be moved where they belong.",
    read: (s) => one(s.history?.unplaced),
  },
  {
    name: "paidonce_accounts_unpayable",
    help: "Pairs of receiving account and asset in which nothing can arrive, by what is in the way.",
    labels: ["obstacle"],
    read: ({ unpayable }) =>
      Object.entries(unpayable?.by_obstacle ?? {}).map(([obstacle, count]) => [{ obstacle }, count]),
  },
  {
    name: "paidonce_exceptions_open",
    help: "Exceptions that wait for a verdict, by reason.",
    labels: ["reason"],
    read: ({ exceptions }) => ofReasons(exceptions, ({ open }) => open),
  },
  {
    name: "paidonce_exceptions_oldest_seconds",
    help: "How long the oldest of them waits, by reason; 0 without any.",
    labels: ["reason"],
    read: ({ exceptions }) => ofReasons(exceptions, ({ oldest_seconds: oldest }) => oldest ?? 0),
  },
  {
    name: "paidonce_outside_payments_open",
    help: "Payments that arrived outside /payments and that no person has dealt with.",
    read: (s) => one(s.outside_payments?.open),
  },
  {
    name: "paidonce_outside_payments_oldest_seconds",
    help: "Time since the oldest of them was found; 0 without any.",
    read: (s) => one(s.outside_payments && (s.outside_payments.oldest_seconds ?? 0)),
  },
  {
    name: "paidonce_refunds_owed",
    help: "Refunds that verdicts say are owed, by asset: the 20 with the most.",
    labels: ["asset"],
    read: ({ refunds_owed: owed }) =>
      (owed?.by_asset ?? []).map(({ asset, refunds }) => [{ asset }, refunds]),
  },
  {
    name: "paidonce_refunds_owed_amount",
    help: "Their sums, in units of the asset; GET /v1/status has them exactly.",
    labels: ["asset"],
    read: ({ refunds_owed: owed }) =>
      (owed?.by_asset ?? []).map(({ asset, amount }) => [{ asset }, Number(amount)]),
  },
  {
    name: "paidonce_charges",
    help: "Charges that have not ended.",
    labels: ["status"],
    read: ({ charges }) => [
      [{ status: "pending" }, charges?.pending],
      [{ status: "processing" }, charges?.processing],
      [{ status: "unknown" }, charges?.unknown],
    ],
  },
  {
    name: "paidonce_charge_unknown_oldest_seconds",
    help: "How long nobody knows whether the oldest unknown charge was made; 0 without any.",
    read: (s) => one(s.charges && (s.charges.oldest_unknown_seconds ?? 0)),
  },
  {
    name: "paidonce_charge_due_oldest_seconds",
    help: "How long the oldest charge waits that no worker takes; 0 without any.",
    read: (s) => one(s.charges && (s.charges.oldest_due_seconds ?? 0)),
  },
  {
    name: "paidonce_recovery_age_seconds",
    help: "Time since the newest run of recovery ended.",
    read: (s) => one(s.last_recovery?.age_seconds),
  },
  {
    name: "paidonce_recovery_needs_person",
    help: "Findings of recovery that wait for a person.",
    read: (s) => one(s.last_recovery?.needs_person),
  },
  {
    name: "paidonce_audit_differences",
    help: "What the newest audits of all accounts found.",
    read: (s) => one(s.last_audit?.differences),
  },
  {
    name: "paidonce_audit_age_seconds",
    help: "Time since the newest audit ended.",
    read: (s) => one(s.last_audit?.age_seconds),
  },
  {
    name: "paidonce_outbox_unrelayed",
    help: "Events that wait in the outbox.",
    read: (s) => one(s.outbox_unrelayed),
  },
  {
    name: "paidonce_outbox_oldest_seconds",
    help: "Age of the oldest of them; 0 without any.",
    read: (s) => one(s.outbox_unrelayed === null ? null : (s.outbox_oldest_seconds ?? 0)),
  },
  {
    name: "paidonce_webhook_deliveries",
    help: "Webhook deliveries that are not done, by state; dead ones were given up.",
    labels: ["state"],
    read: ({ webhooks }) => [
      [{ state: "pending" }, webhooks?.pending],
      [{ state: "sending" }, webhooks?.sending],
      [{ state: "dead" }, webhooks?.dead],
    ],
  },
  {
    name: "paidonce_webhook_oldest_seconds",
    help: "Age of the oldest event that an endpoint still has to hear of; 0 without any.",
    read: (s) => one(s.webhooks && (s.webhooks.oldest_seconds ?? 0)),
  },
];

/** @returns to be given a status before each scrape */
export function statusMetrics(registry: Registry): (status: Status) => void {
  const gauges = FIGURES.map((figure) => ({
    figure,
    gauge: new Gauge({
      name: figure.name,
      help: figure.help,
      labelNames: [...(figure.labels ?? [])],
      registers: [registry],
    }),
  }));
  return (status) => {
    for (const { figure, gauge } of gauges) {
      // An account that is gone, or a figure that is not known now, must not keep its last value.
      gauge.reset();
      if (figure.labels === undefined) gauge.remove();
      for (const [labels, value] of figure.read(status)) {
        if (value !== null && value !== undefined) gauge.set(labels, value);
      }
    }
  };
}
