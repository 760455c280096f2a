import type { RecordedFinding } from "../../recovery/findings-log.js";
import { seconds } from "../../status/duration.js";
import type { Status } from "../../status/status.js";
import { type Html, html } from "../html.js";
import type { OpsAccess } from "./ops-access.js";
import { renderFindings } from "./ops-findings.js";
import { renderTables } from "./ops-tables.js";
import { renderTiles } from "./ops-tiles.js";

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
