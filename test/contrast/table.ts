import type { Contrast } from "./contrast.js";
import { euros } from "./picture.js";
import { totalOf } from "./verdict.js";

/** The run as a table in Markdown: by scenario, what each shop's provider took and what the shop recorded. */
export function contrastTable({ seed, perScenario, sides }: Contrast): string {
  const [first] = sides;
  const head = [
    "what goes wrong",
    "ordered",
    ...sides.flatMap(({ title }) => [`${title}: taken`, "recorded", "doubled", "ghosts"]),
  ];
  const rows = (first?.lines ?? []).map(({ scenario, ordered }, i) => [
    scenario,
    euros(ordered),
    ...sides.flatMap(({ lines }) => figures(lines[i])),
  ]);
  const total = [
    "**all**",
    euros(totalOf(first?.lines ?? []).ordered),
    ...sides.flatMap(({ lines }) => figures(totalOf(lines))),
  ];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `Seed ${seed}, ${perScenario} orders for each thing that goes wrong.`,
    "",
    line(head),
    line(head.map((_, i) => (i === 0 ? "---" : "---:"))),
    ...[...rows, total].map(line),
    "",
    "doubled: orders for which the provider took money more than once; ghosts: for which it took more than is on record.",
  ].join("\n");
}

function figures(
  line:
    | { readonly taken: number; readonly recorded: number; readonly doubled: number; readonly ghosts: number }
    | undefined,
): string[] {
  if (line === undefined) return [];
  return [euros(line.taken), euros(line.recorded), String(line.doubled), String(line.ghosts)];
}
