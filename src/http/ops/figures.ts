import type { Heartbeat } from "../../status/heartbeat.js";
import {
  auditInWords,
  awaitingVerdict,
  duration,
  exceptionsInWords,
  outsideInWords,
  recoveryInWords,
  refundsInWords,
  seconds,
} from "../../status/in-words.js";
import type { AccountStatus, Charges, Status, WaitingEntry } from "../../status/status.js";
import { type Html, html } from "../server/html.js";

const UNKNOWN = "–";

/** The figures that are read first, one box each. */
export function renderTiles(status: Status): Html {
  const { throughput, locks, webhooks, charges, horizon, horizon_condition: condition, roles } = status;
  const { limits, exceptions, refunds_owed: refunds, outside_payments: outside } = status;
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
${tile(
  "Outside payments",
  number(outside?.open),
  outside === null ? "not known" : outsideInWords(outside),
  (outside?.oldest_seconds ?? 0) > limits.exception_open_seconds,
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

/** Accounts, processes, and the rest that is read when something is wrong. */
export function renderTables(status: Status): Html {
  return html`${accounts(status)}${processes(status)}${rest(status)}`;
}

function together(network: Status["network"]): Html | null {
  if (network === null) return null;
  return html`<p>${number(network.accounts)} accounts are read together, as <code>network</code>; ${number(network.set_apart)} records were set apart.</p>`;
}

function accounts({ accounts, network }: Status): Html {
  if (accounts.length === 0)
    return html`<h2>Accounts</h2><p>No account is watched yet: <code>paidonce watch G…</code></p>`;
  return html`<h2>Accounts</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Accounts"><table>
<thead><tr><th scope="col">Account</th><th scope="col">Ingest leader</th><th scope="col" class="n">Behind, ledgers</th><th scope="col" class="n">Backlog</th><th scope="col">Oldest entry</th><th scope="col" class="n">Pending</th><th scope="col">Oldest pending</th><th scope="col">Consumers, last seen</th></tr></thead>
<tbody>${accounts.map(accountRow)}</tbody>
</table></div>${together(network)}`;
}

function accountRow(status: AccountStatus): Html {
  const { account, stream, halted_because: halted } = status;
  const name = html`<th scope="row"><code title="${account}">${short(account)}</code>${halted === null ? null : html` <b class="bad">halted</b>`}</th>`;
  if (stream === null) return html`<tr>${name}<td colspan="7">Redis can't be asked</td></tr>`;
  const leader = stream.leader === null ? html`<b class="bad">nobody</b>` : html`${stream.leader}`;
  const consumers = stream.consumers.map(
    ({ name, idle_ms: idle }) =>
      html`<li><span title="${name}">${shortName(name)}</span> ${secondsAgo(idle)}</li>`,
  );
  return html`<tr>${name}<td>${leader}</td><td class="n">${number(status.lag_ledgers)}</td><td class="n">${number(stream.backlog)}</td><td>${waiting(stream.oldest)}</td><td class="n">${number(stream.pending)}</td><td>${waiting(stream.oldest_pending)}</td><td>${consumers.length === 0 ? "none" : html`<ul>${consumers}</ul>`}</td></tr>`;
}

function processes({ roles }: Status): Html {
  if (roles === null || roles.length === 0) {
    return html`<h2>Processes</h2><p>${roles === null ? "Redis can't be asked." : "No process gives a sign of life."}</p>`;
  }
  return html`<h2>Processes</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Processes"><table>
<thead><tr><th scope="col">Role</th><th scope="col">Name</th><th scope="col" class="n">Process</th><th scope="col">Last heard</th><th scope="col">Since its start</th></tr></thead>
<tbody>${roles.map(processRow)}</tbody>
</table></div>`;
}

function processRow({ role, name, pid, alive, silent_ms: silent, figures }: Heartbeat): Html {
  const heard = alive ? html`${secondsAgo(silent)}` : html`<b class="bad">silent, ${secondsAgo(silent)}</b>`;
  const facts = Object.entries(figures)
    .filter(([key]) => !key.endsWith("_at"))
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${value}`);
  return html`<tr><th scope="row">${role}</th><td>${name}</td><td class="n">${pid}</td><td>${heard}</td><td>${facts.join(", ")}</td></tr>`;
}

function rest(status: Status): Html {
  const { locks, sessions, last_recovery: recovery, last_audit: audit } = status;
  return html`<h2>More</h2>
<dl class="rest">
<dt>Postgres</dt><dd>${!status.postgres.reachable ? html`<b class="bad">away</b>` : status.postgres.migrated ? "up" : html`<b class="bad">not migrated</b>`}</dd>
<dt>Redis</dt><dd>${status.redis.reachable ? "up" : html`<b class="bad">away</b>`}</dd>
<dt>Locks</dt><dd>${locks.mode}; ${number(locks.acquired)} taken, ${number(locks.contended)} held by others, ${number(locks.no_quorum)} times no quorum, since the consumers' start</dd>
<dt>Sessions</dt><dd>${number(sessions?.pending)} pending, ${number(sessions?.processing)} processing</dd>
<dt>Last recovery</dt><dd>${recoveryInWords(recovery)}</dd>
<dt>Last audit</dt><dd>${auditInWords(audit)}</dd>
<dt>As of</dt><dd><time datetime="${status.at}">${status.at.replace("T", " ").slice(0, 19)} UTC</time></dd>
</dl>`;
}

function waiting(entry: WaitingEntry | null): Html {
  if (entry === null) return html`none`;
  const age = entry.age_seconds === null ? "age not known" : duration(entry.age_seconds);
  return html`${age} <small><code>${entry.id}</code></small>`;
}

function secondsAgo(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s ago`;
}

/** `GABCD…WXYZ`: what people compare accounts by. */
function short(account: string): string {
  return account.length <= 12 ? account : `${account.slice(0, 6)}…${account.slice(-4)}`;
}

/** A consumer's name ends in what makes it unique. */
function shortName(name: string): string {
  return name.length <= 20 ? name : `…${name.slice(-16)}`;
}
