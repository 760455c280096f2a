import type { Heartbeat } from "../../status/heartbeat.js";
import { auditInWords, duration, recoveryInWords } from "../../status/in-words.js";
import type { AccountStatus, Status, WaitingEntry } from "../../status/status.js";
import { type Html, html } from "../server/html.js";
import { number } from "./ops-tiles.js";

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
