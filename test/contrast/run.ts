/**
 * `./dev contrast`: the same customers, clicks, time-outs and crashes for a shop that calls its provider and then saves,
 * and for paidonce. Exit code 0 only when paidonce took and recorded each order once.
 */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { startPostgres } from "../../stage/machine/postgres.js";
import { contrast } from "./contrast.js";
import { drawContrast } from "./picture.js";
import { contrastTable } from "./table.js";
import { totalOf } from "./verdict.js";

type Options = { seed: number; orders: number; svg?: string; json?: string };

/** What README.md shows was made with it. */
const SEED = 20261121;

const program = new Command("./dev contrast")
  .description(
    "shows what a shop loses that charges first and saves then, beside paidonce, under the same faults",
  )
  .option("--seed <n>", "the same seed does the same things", positive, SEED)
  .option("--orders <n>", "orders for each thing that can go wrong", positive, 12)
  .option("--svg <file>", "draw the picture there")
  .option("--json <file>", "write all figures there")
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main({ seed, orders, svg, json }: Options): Promise<void> {
  await using postgres = await startPostgres();
  const result = await contrast(postgres, { seed, perScenario: orders }, (line) =>
    process.stderr.write(`${line}\n`),
  );
  if (svg !== undefined) await writeFile(svg, drawContrast(result.sides));
  if (json !== undefined) await writeFile(json, JSON.stringify(result, null, 2));
  process.stdout.write(`${contrastTable(result)}\n`);
  const ours = totalOf(result.sides[1]?.lines ?? []);
  const isRight = ours.doubled === 0 && ours.ghosts === 0 && ours.phantoms === 0;
  process.exitCode = isRight && ours.taken === ours.recorded ? 0 : 1;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It must be a whole number greater than 0.");
  return value;
}
