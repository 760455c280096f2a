import type { Line } from "./verdict.js";
import { totalOf } from "./verdict.js";

/** What one shop's run came to. */
export type Side = { readonly title: string; readonly lines: readonly Line[] };

const ROW = 46;
const LABEL = 250;
const PANEL = 290;
const GAP = 40;
const TOP = 116;
const BAR = 13;

/** What doubles is at most twice the order: a little more than that fits. */
const MOST = 2.15;

/**
 * Draws money taken against money recorded, by what went wrong, for two shops side by side. In each row the dashed
 * line is what was ordered: both bars end there where every payment counted once.
 * @returns an SVG document that needs no fonts and no script, readable on light and dark pages
 */
export function drawContrast(sides: readonly Side[]): string {
  const [first] = sides;
  const rows = first?.lines.length ?? 0;
  const width = LABEL + sides.length * (PANEL + GAP);
  const height = TOP + rows * ROW + 56;
  const labels = (first?.lines ?? []).map(
    ({ scenario }, i) => `<text x="${LABEL - 14}" y="${TOP + i * ROW + 21}" class="label">${scenario}</text>`,
  );
  const panels = sides.map((side, i) => panel(side, LABEL + i * (PANEL + GAP)));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title detail">
<title id="title">Money taken against money recorded</title>
<desc id="detail">${sides.map(inWords).join(" ")}</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.label { text-anchor: end }
.head { font-size: 16px; font-weight: 600 }
.small { font-size: 12px; fill: #52606d }
.taken { fill: #d64545 } .taken.right { fill: #2f855a }
.recorded { fill: #829ab1 }
.ordered { stroke: #1f2933; stroke-width: 1.5; stroke-dasharray: 3 3 }
</style>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${labels.join("\n")}
${panels.join("\n")}
<g transform="translate(${LABEL} ${height - 22})">
<rect class="taken" width="14" height="${BAR}"/><rect x="16" class="taken right" width="14" height="${BAR}"/><text x="38" y="11" class="small">taken by the provider</text>
<rect x="190" class="recorded" width="14" height="${BAR}"/><text x="212" y="11" class="small">recorded by the shop</text>
<line x1="360" y1="-2" x2="360" y2="15" class="ordered"/><text x="370" y="11" class="small">ordered by the customer</text>
</g>
</svg>
`;
}

function panel({ title, lines }: Side, x: number): string {
  const total = totalOf(lines);
  const scale = PANEL / MOST;
  const bars = lines.map((line, i) => {
    const y = TOP + i * ROW;
    const long = (money: number) => Math.max(0, (money / Math.max(1, line.ordered)) * scale).toFixed(1);
    const isRightHere = line.taken === line.recorded && line.taken === line.ordered;
    return `<rect class="${isRightHere ? "taken right" : "taken"}" x="${x}" y="${y}" width="${long(line.taken)}" height="${BAR}"/>
<rect class="recorded" x="${x}" y="${y + BAR + 2}" width="${long(line.recorded)}" height="${BAR}"/>
<line class="ordered" x1="${(x + scale).toFixed(1)}" y1="${y - 4}" x2="${(x + scale).toFixed(1)}" y2="${y + 2 * BAR + 6}"/>`;
  });
  const facts = [
    `${total.orders} orders worth ${euros(total.ordered)}`,
    `taken ${euros(total.taken)}, recorded ${euros(total.recorded)}`,
    `${total.doubled} charged twice, ${total.ghosts} taken and not recorded`,
  ];
  return `<g>
<text x="${x}" y="34" class="head">${title}</text>
${facts.map((fact, i) => `<text x="${x}" y="${56 + i * 18}" class="small">${fact}</text>`).join("\n")}
${bars.join("\n")}
</g>`;
}

function inWords({ title, lines }: Side): string {
  const { orders, ordered, taken, recorded, doubled, ghosts } = totalOf(lines);
  return `${title}: of ${orders} orders worth ${euros(ordered)} the provider took ${euros(taken)} and the shop recorded ${euros(recorded)}; ${doubled} were charged more than once, ${ghosts} have money that nobody recorded.`;
}

/** Cents as people read them. */
export function euros(cents: number): string {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")} EUR`;
}
