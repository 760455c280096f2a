import {
  awaitingVerdict,
  duration,
  exceptionsInWords,
  refundsInWords,
  seconds,
} from "../../status/in-words.js";
import type { Charges, Status } from "../../status/status.js";
import { type Html, html } from "../server/html.js";

const UNKNOWN = "–";

/** The figures that are read first, one box each. */
export function renderTiles(status: Status): Html {
  const { throughput, locks, webhooks, charges, horizon, horizon_condition: condition, roles } = status;
  const { limits, exceptions, refunds_owed: refunds } = status;
  const times = throughput?.close_to_settled ?? null;
  const streams = status.accounts.flatMap(({ stream }) => stream ?? []);
  const backlog = streams.reduce((sum, stream) => sum + stream.backlog, 0);
  const pending = streams.reduce((sum, stream) => sum + stream.pending, 0);
  const lags = status.accounts.flatMap(({ lag_ledgers: lag }) => lag ?? []);
  const lag = lags.length === 0 ? null : lags.reduce((a, b) => Math.max(a, b));
  const alive = (role: string) => roles?.filter((beat) => beat.role === role && beat.alive).length ?? 0;
  return html`<dl class="tiles">
${tile(
  "Credits per minute",
  number(throughput?.credits_per_minute.last_minute),
  `${number(throughput?.credits_per_minute.last_5_minutes)} over five minutes`,
)}
${tile(
  "Sessions paid per minute",
  number(throughput?.sessions_paid_per_minute.last_minute),
  `${number(throughput?.sessions_paid_per_minute.last_5_minutes)} over five minutes`,
)}
${tile(
  "Ledger close to settled",
  times === null ? UNKNOWN : seconds(times.p50_ms),
  times === null
    ? "no credit in five minutes"
    : `p50; p99 ${seconds(times.p99_ms)} of ${number(times.credits)} credits`,
)}
${tile(
  "Oldest unsettled credit",
  status.redis.reachable ? age(status.oldest_unsettled_seconds, "none") : UNKNOWN,
  `${number(backlog)} in the backlog, ${number(pending)} being settled`,
)}
${tile(
  "Behind Horizon",
  lag === null ? UNKNOWN : `${number(lag)} ${lag === 1 ? "ledger" : "ledgers"}`,
  horizon === null
    ? "no ingest tells its newest"
    : `newest ${number(horizon.newest_ledger)}, closed ${age(horizon.newest_age_seconds, UNKNOWN)} ago`,
)}
${tile(
  "Horizon",
  condition === null ? UNKNOWN : condition.name.replaceAll("_", " "),
  requestsInWords(status),
  condition !== null && condition.name !== "ok",
)}
${tile(
  "Consumers alive",
  roles === null ? UNKNOWN : number(alive("consume")),
  roles === null
    ? "Redis can't be asked"
    : `${alive("ingest")} ingest, ${alive("work")} work, ${alive("api")} api`,
  roles !== null && alive("consume") === 0,
)}
${tile(
  "Lock servers",
  locks.mode === "off" ? "off" : `${locks.answering} of ${locks.servers}`,
  `${locks.quorum ? "" : "NO QUORUM; "}${number(locks.contended)} of ${number(locks.acquired + locks.contended)} contended`,
  !locks.quorum,
)}
${tile(
  "Outbox and webhooks",
  number(status.outbox_unrelayed === null ? null : status.outbox_unrelayed + (webhooks?.pending ?? 0)),
  webhooks === null
    ? "not known"
    : `${number(status.outbox_unrelayed)} not relayed, ${number(webhooks.pending + webhooks.sending)} to send, ${number(webhooks.dead)} dead${webhooks.oldest_seconds === null ? "" : `, oldest ${age(webhooks.oldest_seconds, "")}`}`,
)}
${tile(
  "Open charges",
  number(charges === null ? null : charges.pending + charges.processing + charges.unknown),
  charges === null ? "not known" : chargesInWords(charges),
  charges !== null && (charges.oldest_unknown_seconds ?? 0) > limits.charge_unknown_seconds,
)}
${tile(
  "Open exceptions",
  number(exceptions?.open),
  exceptions === null || refunds === null
    ? "not known"
    : `${exceptionsInWords(exceptions)}; ${refundsInWords(refunds)}`,
  exceptions !== null &&
    (exceptions.by_reason.unreadable.open > 0 ||
      (awaitingVerdict(exceptions).oldest_seconds ?? 0) > limits.exception_open_seconds),
)}
</dl>`;
}

function requestsInWords({ requests, reading }: Status): string {
  const way =
    reading === null
      ? ""
      : `; ${reading.from === "network" ? "all accounts together" : "account by account"}`;
  if (requests === null) return `no limit of requests${way}`;
  const left = requests.left === null ? "" : `, ${number(requests.left)} at once now`;
  return `${number(requests.used_last_hour)} of ${number(requests.per_hour)} requests in an hour${left}${way}`;
}

function chargesInWords({ unknown, processing, oldest_unknown_seconds: oldest }: Charges): string {
  const since = oldest === null ? "" : `, the oldest for ${duration(oldest)}`;
  return `${number(unknown)} unknown${since}; ${number(processing)} processing`;
}

function tile(title: string, value: string, detail: string, isBad = false): Html {
  return html`<div><dt>${title}</dt><dd><strong class="${isBad ? "bad" : "well"}">${value}</strong><small>${detail}</small></dd></div>`;
}

export function number(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : value.toLocaleString("en");
}

function age(value: number | null, otherwise: string): string {
  return value === null ? otherwise : duration(value);
}
