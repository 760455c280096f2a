/**
 * Draws a `.cpuprofile` of `node --cpu-prof` as a flame graph: `node dist/bench/flame-graph.js <profile> <svg> <title>`.
 * Width is time on the processor; what stands on a bar was called by it. Idle time is left out.
 */
import { readFileSync, writeFileSync } from "node:fs";

type ProfileNode = {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
};
type Profile = {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** In microseconds. */
  readonly timeDeltas: readonly number[];
};

/** Calls of one function from one place, with all that they called. */
type Frame = { readonly name: string; microseconds: number; readonly children: Map<string, Frame> };

const [WIDTH, ROW, TOP] = [1200, 16, 40];

/** Narrower bars can't be told apart. */
const MIN_WIDTH = 1.5;

const [input = "", output = "", title = "Where the time goes"] = process.argv.slice(2);
writeFileSync(output, draw(stacksOf(JSON.parse(readFileSync(input, "utf8")) as Profile), title));

function stacksOf({ nodes, samples, timeDeltas }: Profile): Frame {
  const self = new Map<number, number>();
  samples.forEach((id, i) => {
    self.set(id, (self.get(id) ?? 0) + (timeDeltas[i] ?? 0));
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const all: Frame = { name: "all", microseconds: 0, children: new Map() };
  const visit = (node: ProfileNode, parent: Frame): number => {
    const name = nameOf(node);
    // Nothing to do, or the profiler at its own start.
    if (name === "(idle)" || name.includes("node:inspector")) return 0;
    const frame = parent.children.get(name) ?? { name, microseconds: 0, children: new Map() };
    parent.children.set(name, frame);
    let time = Math.max(0, self.get(node.id) ?? 0);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) time += visit(child, frame);
    }
    frame.microseconds += time;
    return time;
  };
  const root = nodes.find(({ callFrame }) => callFrame.functionName === "(root)");
  for (const id of root?.children ?? []) {
    const child = byId.get(id);
    if (child !== undefined) all.microseconds += visit(child, all);
  }
  return all;
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const file = url.replace(/^.*\/node_modules\//, "").replace(/^.*\/dist\//, "");
  const place = file === "" ? "" : ` ${file}:${lineNumber + 1}`;
  return `${functionName === "" ? "(anonymous)" : functionName}${place}`;
}

function draw(all: Frame, title: string): string {
  const scale = WIDTH / all.microseconds;
  const bars: string[] = [];
  let depth = 0;
  const bar = (frame: Frame, x: number, level: number) => {
    const width = frame.microseconds * scale;
    if (width < MIN_WIDTH) return;
    depth = Math.max(depth, level);
    const share = `${((100 * frame.microseconds) / all.microseconds).toFixed(1)} %`;
    const text = escaped(frame.name.slice(0, Math.max(0, Math.floor(width / 6.5) - 1)));
    bars.push(
      `<g><title>${escaped(frame.name)}, ${share}</title>` +
        `<rect x="${x.toFixed(1)}" y="${TOP + level * ROW}" width="${(width - 0.5).toFixed(1)}" height="${ROW - 1}" fill="${colourOf(frame.name)}"/>` +
        `<text x="${(x + 2).toFixed(1)}" y="${TOP + level * ROW + 11}">${text}</text></g>`,
    );
    let left = x;
    for (const child of [...frame.children.values()].sort((a, b) => b.microseconds - a.microseconds)) {
      bar(child, left, level + 1);
      left += child.microseconds * scale;
    }
  };
  bar(all, 0, 0);
  const height = TOP + (depth + 1) * ROW + 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/><text x="4" y="22" font-size="15">${escaped(title)}</text>
${bars.join("\n")}
</svg>
`;
}

/** Ours, the packages by their kind, and Node itself. */
function colourOf(name: string): string {
  if (/ src\//.test(name)) return "#f4a259";
  if (/ (pg|pg-protocol|pg-pool|typeorm|postgres-)/.test(name)) return "#8cb6d9";
  if (/ (ioredis|redis-parser|redlock)/.test(name)) return "#e58a8a";
  return "#d9d4c7";
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
