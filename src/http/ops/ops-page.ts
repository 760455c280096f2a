import type { Facts, RecordedFinding } from "../../findings/findings-log.js";
import { seconds } from "../../status/in-words.js";
import type { Status } from "../../status/status.js";
import { type Html, html } from "../server/html.js";
import { renderTables, renderTiles } from "./figures.js";
import type { OpsAccess } from "./login.js";

/** The whole page, as it is without a script: the script keeps it fresh and draws the charts. */
export function opsPage(
  status: Status,
  findings: readonly RecordedFinding[] | null,
  access: OpsAccess,
): string {
  const mode = access.mayAct ? "may act on jobs" : "read-only";
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${status.healthy ? "paidonce: well" : `(${status.problems.length}) paidonce: needs attention`}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/ops/assets/uplot.css">
<link rel="stylesheet" href="/ops/assets/page.css">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<script src="/ops/assets/uplot.js" defer></script>
<script src="/ops/assets/page.js" defer></script>
</head>
<body>
<header>
<h1>paidonce <span>operations</span></h1>
<nav aria-label="More">
<span class="mode">${access.isOpen ? "no login, " : ""}${mode}</span>
<a href="/ops/queues/">Queues</a>
<a href="/v1/status">JSON</a>
<a href="/metrics">Metrics</a>
</nav>
</header>
<main>
<p id="lost" role="alert" hidden></p>
<div id="state" aria-live="polite" aria-atomic="true">${renderState(status)}</div>
<div id="charts" hidden>
${chart("rates", "Per minute", "credits", "sessions paid")}
${chart("times", "Close to settled, seconds", "p50", "p99")}
${chart("backlog", "Backlog", "entries", "oldest, seconds")}
${chart("lag", "Ledgers behind Horizon", "furthest behind")}
</div>
<div id="figures">${renderFigures(status, findings)}</div>
</main>
</body>
</html>
`.text;
}

/** Green or red at a glance, and in words. */
export function renderState(status: Status): Html {
  if (status.healthy) {
    const times = status.throughput?.close_to_settled ?? null;
    const pace =
      times === null
        ? "No credit came in during the last five minutes."
        : `Credits are settled ${seconds(times.p99_ms)} after their ledger closes, or sooner (p99).`;
    return html`<section class="state well"><h2><span aria-hidden="true">✓</span> All is well</h2><p>${pace} Nothing needs a person.</p></section>`;
  }
  const count = status.problems.length;
  return html`<section class="state bad"><h2><span aria-hidden="true">!</span> Needs attention: ${count} ${count === 1 ? "problem" : "problems"}</h2><ol>${status.problems.map(
    (problem) => html`<li>${withCode(problem)}</li>`,
  )}</ol></section>`;
}

/** Everything below the charts. */
export function renderFigures(status: Status, findings: readonly RecordedFinding[] | null): Html {
  return html`${renderTiles(status)}${renderTables(status)}${renderFindings(findings)}`;
}

function chart(id: string, title: string, ...series: readonly string[]): Html {
  const keys = series.map((name, i) => html`<span class="key key-${i + 1}">${name}</span>`);
  return html`<figure><figcaption>${title} <span class="keys">${keys}</span></figcaption><div class="chart" data-chart="${id}" role="img" aria-label="Chart of the last ten minutes; its newest figures are in the text below"></div></figure>`;
}

/** What stands between backticks is to be typed. */
function withCode(text: string): readonly Html[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
}

/** What recovery found lately, what it did about it, and on what evidence. @param findings null: can't be asked */
function renderFindings(findings: readonly RecordedFinding[] | null): Html {
  if (findings === null) return html`<h2>Findings of recovery</h2><p>Postgres can't be asked.</p>`;
  if (findings.length === 0) return html`<h2>Findings of recovery</h2><p>Nothing was ever left behind.</p>`;
  return html`<h2>Findings of recovery</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Findings of recovery"><table>
<thead><tr><th scope="col">Found, UTC</th><th scope="col">What</th><th scope="col">Done</th><th scope="col">In words</th><th scope="col">Evidence</th></tr></thead>
<tbody>${findings.map(row)}</tbody>
</table></div>`;
}

function row({ kind, action, detail, evidence, foundAt, closedAt }: RecordedFinding): Html {
  const done = closedAt === null ? html`<b class="bad">waits for a person</b>` : html`${words(action)}`;
  const at = foundAt.toISOString();
  return html`<tr><td><time datetime="${at}">${at.replace("T", " ").slice(0, 19)}</time></td><th scope="row">${words(kind)}</th><td>${done}</td><td>${detail}</td><td>${facts(evidence)}</td></tr>`;
}

function facts(evidence: Facts): Html {
  const known = Object.entries(evidence).filter(([, value]) => value !== null && String(value) !== "");
  return html`<ul>${known.map(([name, value]) => html`<li>${words(name)} <code>${shortened(value)}</code></li>`)}</ul>`;
}

function shortened(value: Facts[string]): string {
  const text = Array.isArray(value) ? value.join(", ") : String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

function words(name: string): string {
  return name.replaceAll("_", " ");
}
