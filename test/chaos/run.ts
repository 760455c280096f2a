/**
 * `./dev chaos`: everything that can go wrong, on purpose, from a seed; then the proof that nothing was lost and
 * nothing was doubled. Exit code 0 only when every guarantee held.
 */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { POSTGRES_KINDS, type PostgresKind } from "../support/backends/postgres.js";
import { runChaos } from "./chaos.js";
import { Ends } from "./ends.js";
import { REDIS_KINDS, type RedisKind } from "./redis-side.js";
import { isGreen, toMarkdown } from "./report.js";

type Options = {
  minutes: number;
  seed?: number;
  rate: number;
  only?: string[];
  postgres: PostgresKind;
  redis: RedisKind;
  json?: string;
  markdown?: string;
  logs?: string;
  quiet?: boolean;
};

/** About what the long run needs for 100,000 credits in half an hour. */
const RATE = 70;

const program = new Command("./dev chaos")
  .description("kills, pauses, cuts and floods the whole service under load, and proves that nothing is lost")
  .option("--minutes <n>", "how long load and faults go on", positive, 5)
  .option("--seed <n>", "the same seed does the same things; a new one when left out", positive)
  .option("--rate <n>", "orders per second, each about one credit", positive, RATE)
  .option("--only <faults...>", "only these faults, by name")
  .addOption(
    new Option("--postgres <kind>", "what the books are in; `standby` can fail over")
      .choices(POSTGRES_KINDS)
      .default("embedded"),
  )
  .addOption(
    new Option(
      "--redis <kind>",
      "what holds streams, jobs and locks; `cluster` has three masters and three replicas",
    )
      .choices(REDIS_KINDS)
      .default("single"),
  )
  .option("--json <file>", "write all figures there")
  .option("--markdown <file>", "write the table there, as bench/results/chaos.md has it")
  .option("--logs <folder>", "write the newest log lines of every role there")
  .option("--quiet", "no line per fault")
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main(options: Options): Promise<void> {
  const ends = new Ends();
  const interrupted = ends.onSignals("chaos");
  const startedAt = performance.now();
  const say = (line: string) => {
    const at = ((performance.now() - startedAt) / 1000).toFixed(0).padStart(4);
    if (!options.quiet) process.stdout.write(`${at} s  ${line}\n`);
  };
  try {
    const { seed = newSeed(), minutes, rate, only, postgres, redis, logs } = options;
    const command = [
      `./dev chaos --minutes ${minutes} --seed ${seed}`,
      ...(rate === RATE ? [] : [`--rate ${rate}`]),
      ...(postgres === "embedded" ? [] : [`--postgres ${postgres}`]),
      ...(redis === "single" ? [] : [`--redis ${redis}`]),
      ...(only === undefined ? [] : [`--only ${only.map((name) => JSON.stringify(name)).join(" ")}`]),
    ].join(" ");
    const chosen = {
      servers: { postgres, redis },
      ...(only && { only }),
      ...(logs !== undefined && { logs }),
    };
    const report = await runChaos({ seed, minutes, rate, command, say, short: minutes < 4, ...chosen }, ends);
    if (options.json !== undefined) await writeFile(options.json, JSON.stringify(report, null, 2));
    const text = toMarkdown(report);
    if (options.markdown !== undefined) await writeFile(options.markdown, `${text}\n`);
    process.stdout.write(`\n${text}\n`);
    process.exitCode = isGreen(report) ? 0 : 1;
  } catch (error) {
    // What fails while all is being ended is no failure of its own.
    if (interrupted.aborted) return;
    process.stderr.write(`chaos: the driver failed: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 2;
  } finally {
    await ends[Symbol.asyncDispose]();
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number greater than 0.");
  return value;
}

function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}
