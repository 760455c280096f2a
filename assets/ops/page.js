// Keeps the operators' page fresh: asks every two seconds for what changes, as the server renders it, and draws the
// charts. Without this script the page is the same, and reloads itself.
const POLL_MS = 2_000;

/** An answer that takes longer is none: the page must say so, and not stand still looking green. */
const TIMEOUT_MS = 6_000;

/** At the most, and at the least: a page that was just opened need not be mostly empty. */
const SHOWN_SECONDS = { most: 600, least: 120 };

/** What each chart draws of a sample; the second series has a scale of its own where it is of another kind. */
const CHARTS = {
  rates: { series: ["credits_per_minute", "sessions_paid_per_minute"] },
  times: { series: ["p50_seconds", "p99_seconds"] },
  backlog: { series: ["backlog", "oldest_unsettled_seconds"] },
  lag: { series: ["lag_ledgers"] },
};

const byId = (id) => document.getElementById(id);
const samples = [];
let plots = [];
let lastAnswerAt = Date.now();

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function refresh() {
  try {
    const { healthy, state, figures, sample } = await ask("/ops/live.json");
    show(byId("state"), state);
    // A selection would be lost: whoever copies an id is left alone for a moment.
    if (getSelection()?.isCollapsed ?? true) show(byId("figures"), figures);
    document.title = healthy ? "paidonce: well" : "(!) paidonce: needs attention";
    lastAnswerAt = Date.now();
    add(sample);
    draw();
    found();
  } catch (error) {
    lost(error);
  }
  setTimeout(refresh, POLL_MS);
}

/** Only where it changed: what is announced to screen readers must be news. */
function show(element, markup) {
  if (element.dataset.markup === markup) return;
  element.dataset.markup = markup;
  element.innerHTML = markup;
}

function lost(error) {
  const seconds = Math.round((Date.now() - lastAnswerAt) / 1000);
  const why = error instanceof Error ? error.message : "no answer";
  byId("lost").textContent =
    `No answer for ${seconds} s (${why}): what is shown is old. Check that paidonce api runs and that you are logged in; paidonce status asks without it.`;
  byId("lost").hidden = false;
  document.body.classList.add("lost");
  document.title = "(?) paidonce: no answer";
}

function found() {
  byId("lost").hidden = true;
  document.body.classList.remove("lost");
}

function add(sample) {
  const last = samples.at(-1);
  if (last !== undefined && sample.at <= last.at) return;
  samples.push(sample);
  while (samples.length > 1 && samples[0].at < sample.at - SHOWN_SECONDS.most) samples.shift();
}

function dataOf(chart) {
  return [samples.map(({ at }) => at), ...chart.series.map((name) => samples.map((sample) => sample[name]))];
}

function plot(element) {
  const chart = CHARTS[element.dataset.chart];
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--quiet"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  const lines = ["--one", "--two"].slice(0, chart.series.length);
  const options = {
    width: element.clientWidth,
    height: element.clientHeight,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: shownRange },
      // From nought, and never so near that a difference of one looks like a mountain.
      y: { range: (_, __, max) => [0, Math.max(4, (max ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 20, space: 60, incrs: [60, 120, 300], values: (_, ticks) => ticks.map(timeOfDay) },
      { ...axis, size: 38, space: 28 },
    ],
    series: [
      {},
      ...lines.map((name, i) => ({
        stroke: color(name),
        width: 2,
        dash: i === 1 ? [5, 3] : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
  element.replaceChildren();
  return { chart, element, uplot: new uPlot(options, dataOf(chart), element) };
}

function shownRange() {
  const newest = samples.at(-1)?.at ?? 0;
  const span = newest - (samples[0]?.at ?? 0);
  return [newest - Math.min(SHOWN_SECONDS.most, Math.max(SHOWN_SECONDS.least, span)), newest];
}

/** The time of day, as the logs have it. */
function timeOfDay(at) {
  return new Date(at * 1000).toISOString().slice(11, 16);
}

function draw() {
  for (const { chart, uplot } of plots) uplot.setData(dataOf(chart));
}

function makeCharts() {
  byId("charts").hidden = false;
  plots = [...document.querySelectorAll("[data-chart]")].map(plot);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", makeCharts);
addEventListener("resize", () => {
  for (const { element, uplot } of plots)
    uplot.setSize({ width: element.clientWidth, height: element.clientHeight });
});

ask("/ops/history.json")
  .then((history) => history.samples.forEach(add))
  .catch(() => undefined)
  .finally(() => {
    makeCharts();
    void refresh();
  });
