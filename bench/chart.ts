import { round } from "./noise.js";

export type Bar = {
  readonly label: string;
  readonly value: number;
  /** The least and the most of all runs. */
  readonly range?: readonly [number, number];
  /** Ours stand out from peers. */
  readonly ours?: true;
};

export type Series = { readonly name: string; readonly values: readonly number[]; readonly ours?: true };

/** A picture of figures, for docs/performance.md. */
export type Chart = {
  /** The file's name, without `.svg`. */
  readonly file: string;
  readonly title: string;
  readonly unit: string;
} & (
  | { readonly kind: "bars"; readonly bars: readonly Bar[] }
  /** A value of each series for each name on the x axis, at equal distances. */
  | {
      readonly kind: "lines";
      readonly x: { readonly title: string; readonly at: readonly string[] };
      readonly series: readonly Series[];
      readonly logarithmic?: true;
    }
);

const WIDTH = 820;
const TOP = 64;

/**
 * @returns an SVG document that needs no fonts and no script, on a ground of its own: readable on light and dark pages
 */
export function drawChart(chart: Chart): string {
  const { height, marks, words } = chart.kind === "bars" ? bars(chart) : lines(chart);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title detail">
<title id="title">${escaped(chart.title)}</title>
<desc id="detail">${escaped(words)}</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.label { text-anchor: end }
.middle { text-anchor: middle }
.head { font-size: 16px; font-weight: 600 }
.small { font-size: 12px; fill: #52606d }
.peer { fill: #829ab1 } .ours { fill: #2f855a }
.range { stroke: #1f2933; stroke-width: 1.5 }
.grid { stroke: #e4e7eb }
.line { fill: none; stroke-width: 2.5 }
</style>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
<text x="24" y="34" class="head">${escaped(chart.title)}</text>
<text x="${WIDTH - 24}" y="34" class="small label">${escaped(chart.unit)}</text>
${marks.join("\n")}
</svg>
`;
}

type Drawn = { readonly height: number; readonly marks: readonly string[]; readonly words: string };

const ROW = 30;
const BAR_FROM = 330;
const BAR_ROOM = WIDTH - BAR_FROM - 90;

function bars({ bars, unit }: Chart & { kind: "bars" }): Drawn {
  const most = Math.max(
    ...bars.map(({ value, range }) => Math.max(value, range?.[1] ?? 0)),
    Number.MIN_VALUE,
  );
  const long = (value: number) => (value / most) * BAR_ROOM;
  const marks = bars.map(({ label, value, range, ours }, i) => {
    const y = TOP + i * ROW;
    const [low, high] = (range ?? [value, value]).map((end) => px(BAR_FROM + long(end)));
    return `<text x="${BAR_FROM - 12}" y="${y + 13}" class="label">${escaped(label)}</text>
<rect class="${ours ? "ours" : "peer"}" x="${BAR_FROM}" y="${y}" width="${px(long(value))}" height="18"/>
<line class="range" x1="${low}" y1="${y + 9}" x2="${high}" y2="${y + 9}"/>
<text x="${px(BAR_FROM + long(Math.max(value, range?.[1] ?? 0)) + 8)}" y="${y + 13}">${round(value)}</text>`;
  });
  const words = bars.map(({ label, value }) => `${label}: ${round(value)} ${unit}.`).join(" ");
  return { height: TOP + bars.length * ROW + 20, marks, words };
}

const PLOT = { left: 80, right: WIDTH - 30, top: TOP, bottom: 330 } as const;
const COLOURS = ["#829ab1", "#b7791f", "#3182ce", "#d64545", "#805ad5"];
const OURS = "#2f855a";

function lines({ x, series, logarithmic, unit }: Chart & { kind: "lines" }): Drawn {
  const values = series.flatMap((one) => one.values);
  const scale = logarithmic ? logarithmicScale(values) : linearScale(values);
  const across = (i: number) =>
    px(PLOT.left + ((i + 0.5) / Math.max(1, x.at.length)) * (PLOT.right - PLOT.left));
  const up = (value: number) => px(PLOT.bottom - scale.share(value) * (PLOT.bottom - PLOT.top));
  const grid = scale.ticks.map(
    (tick) => `<line class="grid" x1="${PLOT.left}" y1="${up(tick)}" x2="${PLOT.right}" y2="${up(tick)}"/>
<text x="${PLOT.left - 8}" y="${Number(up(tick)) + 4}" class="small label">${round(tick)}</text>`,
  );
  const names = x.at.map(
    (name, i) =>
      `<text x="${across(i)}" y="${PLOT.bottom + 20}" class="small middle">${escaped(name)}</text>`,
  );
  const drawn = series.map(({ name, values, ours }, i) => {
    const colour = ours ? OURS : COLOURS[i % COLOURS.length];
    const points = values.map((value, at) => `${across(at)},${up(value)}`);
    const dots = values.map(
      (value, at) => `<circle cx="${across(at)}" cy="${up(value)}" r="4" fill="${colour}"/>`,
    );
    const y = PLOT.bottom + 70 + i * 20;
    return `<polyline class="line" stroke="${colour}" points="${points.join(" ")}"/>${dots.join("")}
<rect x="${PLOT.left}" y="${y - 9}" width="14" height="8" fill="${colour}"/><text x="${PLOT.left + 22}" y="${y}">${escaped(name)}</text>`;
  });
  const title = `<text x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 42}" class="small middle">${escaped(x.title)}</text>`;
  const words = series.map(
    ({ name, values }) =>
      `${name}: ${values.map((value, i) => `${round(value)} ${unit} at ${x.at[i]}`).join(", ")}.`,
  );
  return {
    height: PLOT.bottom + 70 + series.length * 20,
    marks: [...grid, ...names, title, ...drawn],
    words: words.join(" "),
  };
}

type ValueScale = { readonly ticks: readonly number[]; share(value: number): number };

/** From 0, so that twice as high is twice as much. */
function linearScale(values: readonly number[]): ValueScale {
  const most = Math.max(...values, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [0.2, 0.5, 1, 2].map((part) => part * power).find((part) => most / part <= 6) ?? power;
  const top = Math.ceil(most / step) * step;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  return { ticks, share: (value) => value / top };
}

function logarithmicScale(values: readonly number[]): ValueScale {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive, 1e9)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive, 1e-9))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, share: (value) => (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low) };
}

function px(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
