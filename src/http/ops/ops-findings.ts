import type { Facts } from "../../recovery/finding.js";
import type { RecordedFinding } from "../../recovery/findings-log.js";
import { type Html, html } from "../html.js";

/** What recovery found lately, what it did about it, and on what evidence. @param findings null: can't be asked */
export function renderFindings(findings: readonly RecordedFinding[] | null): Html {
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
