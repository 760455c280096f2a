/**
 * `./dev storm`: charges through both providers by impatient clients, while everything that takes part is killed, paused
 * and emptied; then the proof that each was charged once at the most. Exit code 0 only when every guarantee held.
 */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { Ends } from "../chaos/ends.js";
import { leftRunning } from "./left-running.js";
import { PROVIDERS, type ProviderName } from "./orders.js";
import { isGreen, toMarkdown } from "./report.js";
import { runStorm } from "./storm.js";

type Options = {
  charges: number;
  seed?: number;
  provider: ProviderName | "both";
  rate: number;
  json?: string;
  markdown?: string;
};

/** What two cores answer while everything breaks: 20,000 in about ten minutes. */
const RATE = 32;

/** With fewer each fault is done once alone: they would be over before most of them began. */
const SHORT_BELOW = 2_000;

const program = new Command("./dev storm")
  .description("charges under every fault at once, and proves that each was charged once at the most")
  .option("--charges <n>", "how many, half of them through each provider", positive, 2_000)
  .option("--seed <n>", "the same seed does the same things; a new one when left out", positive)
  .addOption(new Option("--provider <name>", "through whom").choices([...PROVIDERS, "both"]).default("both"))
  .option("--rate <n>", "charges per second, at the most", positive, RATE)
  .option("--json <file>", "write all figures there")
  .option("--markdown <file>", "write the tables there, as bench/results/storm.md has them")
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main(options: Options): Promise<void> {
  const ends = new Ends();
  const interrupted = ends.onSignals("storm");
  const startedAt = performance.now();
  const say = (line: string) => {
    const at = ((performance.now() - startedAt) / 1000).toFixed(0).padStart(4);
    process.stdout.write(`${at} s  ${line}\n`);
  };
  const { seed = Math.floor(Math.random() * 2 ** 31), charges, provider, rate } = options;
  const command = [
    `./dev storm --charges ${charges} --seed ${seed}`,
    ...(provider === "both" ? [] : [`--provider ${provider}`]),
    ...(rate === RATE ? [] : [`--rate ${rate}`]),
  ].join(" ");
  const providers = provider === "both" ? PROVIDERS : [provider];
  try {
    const short = charges < SHORT_BELOW;
    const report = await runStorm({ seed, charges, providers, rate, short, command, say }, ends);
    if (options.json !== undefined) await writeFile(options.json, JSON.stringify(report, plain, 2));
    const text = toMarkdown(report);
    if (options.markdown !== undefined) await writeFile(options.markdown, `${text}\n`);
    process.stdout.write(`\n${text}\n`);
    process.exitCode = isGreen(report) ? 0 : 1;
  } catch (error) {
    // What fails while all is being ended is no failure of its own.
    if (interrupted.aborted) return;
    process.stderr.write(`storm: the driver failed: ${error instanceof Error ? error.stack : error}\n`);
    process.stderr.write(`storm: again: ${command}\n`);
    process.exitCode = 2;
  } finally {
    await ends[Symbol.asyncDispose]();
  }
  const left = await leftRunning();
  if (left.length === 0) return;
  process.stderr.write(`storm: still running: ${left.join(", ")}\n`);
  process.exitCode = 1;
}

function plain(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It must be a whole number greater than 0.");
  return value;
}
