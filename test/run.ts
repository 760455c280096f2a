/**
 * `./dev test`: formatter, linter and dead code, and all tests, several files at once. The last line is always
 * `N passed, N failed, N skipped`, counted by mocha; a check that fails counts as one more failure. The exit code is 0
 * only if nothing failed and something passed.
 *
 * Arguments are mocha's, and with any there is one file at a time. Files may be given as they are in the source tree:
 * test/machine/redis.test.ts.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, globSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterTests } from "./guarantees.js";
import { type Counts, FILES } from "./reporter.js";
import { configuration, ended, runMocha } from "./run-mocha.js";
import { makeTemplate, SHARED_POSTGRES, startSharedPostgres } from "./support/database.js";
import { SECONDS_FILE } from "./support/environment.js";

/** So many of the slowest files are named: where to look when the run takes too long. */
const SLOWEST = 15;

/** Tests mostly wait, for processes to start, leases to end, browsers to draw. */
const FILES_AT_ONCE = 4;

/**
 * The longest: none of them shall be left to run alone at the end, nor all of them run at once. A file that is missing here
 * is run all the same.
 */
const LONG = [
  "chaos/short",
  "interleavings/pairs",
  "upgrade/rolling",
  "bench/tiny",
  "chaos/sabotage",
  "storm/short",
  "contrast/contrast",
  "consumers/network",
  "up/up",
  "processes/fail-over-redis",
  "processes/kill-ingest",
  "processes/charges-stellar",
  "processes/charges-stripe",
  "processes/requirements",
  "processes/redelivery",
  "cli/printing",
];

/** After so much of the run the last of the long ones begins. */
const LONG_BEGUN_AFTER = 0.6;

/** Each story is told with locks and without; on a cluster once, with the locks in it. */
const WITHOUT_LOCKS_OFF = ["--grep", "LOCKS=off|locks off", "--invert"];

async function main(args: readonly string[]): Promise<void> {
  const reports = args.length > 0 ? [await runMocha(args), await check()] : await runAll();
  const sum = (what: keyof Counts) => reports.reduce((n, report) => n + report[what], 0);
  if (sum("passed") + sum("failed") === 0) console.error("\nno test ran");
  process.exitCode = sum("failed") === 0 && sum("passed") > 0 ? 0 : 1;
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
}

/** Formatter, linter, dead code. @param output a file, as for mocha */
async function check(output: number | "inherit" = "inherit"): Promise<Counts> {
  const stdio = ["ignore", output, output] as const;
  const { code } = await ended(spawn("npm", ["run", "--silent", "lint"], { stdio: [...stdio] }));
  if (code !== 0) console.error("\nthe linter failed: see its report, or `npm run lint`");
  return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/**
 * The report of most tests is written as it comes. The linter's and that of the tests on a cluster are held in a file
 * until then: mixed, none could be read.
 */
async function runAll(): Promise<Counts[]> {
  const files = spread(globSync(configuration().spec).sort());
  const folder = mkdtempSync(join(tmpdir(), "paidonce-report-"));
  const seconds = join(folder, "seconds.jsonl");
  const held = ["lint.txt", "cluster.txt"].map((name) => join(folder, name));
  // Files, not pipes: a pipe stays open for as long as anything lives that a test has left behind.
  const [lint = 0, onCluster = 0] = held.map((file) => openSync(file, "w"));
  const postgres = await startSharedPostgres();
  // In a file mocha sees no terminal.
  const color = process.stdout.isTTY ? ["--color"] : [];
  try {
    await makeTemplate(postgres.url);
    const env = { [SHARED_POSTGRES]: postgres.url };
    const reports = await Promise.all([
      runMocha([...files, "--parallel", "--jobs", `${FILES_AT_ONCE}`], {
        env: { ...env, [SECONDS_FILE]: seconds, [FILES]: `${files.length}` },
      }),
      check(lint),
      runMocha([...clusterTests(), ...WITHOUT_LOCKS_OFF, ...color], {
        output: onCluster,
        env: { ...env, TEST_REDIS: "cluster" },
      }),
    ]);
    console.log("What reads streams once more, on a Redis Cluster of three masters and three replicas:");
    for (const file of held.toReversed()) process.stdout.write(readFileSync(file));
    tellSlowest(seconds);
    return reports;
  } finally {
    for (const file of [lint, onCluster]) closeSync(file);
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The order to begin the files in: a long one now and then, the longest first. */
function spread(files: readonly string[]): string[] {
  const long = LONG.flatMap((name) => files.filter((file) => nameOf(file) === name));
  const others = files.filter((file) => !long.includes(file));
  const every = Math.floor((others.length * LONG_BEGUN_AFTER) / long.length);
  return long.flatMap((file, n) => [file, ...others.splice(0, n < long.length - 1 ? every : others.length)]);
}

/** From dist/test/http/fuzz.test.js it is http/fuzz. */
function nameOf(file: string): string {
  return file.replace(/^.*dist\/test\//, "").replace(/\.test\.js$/, "");
}

/** Nothing fails for being slow: this is for whoever wants the run to be quicker. */
function tellSlowest(file: string): void {
  // After a Ctrl-C there is nothing to tell.
  if (!existsSync(file)) return;
  const seconds: [string, number, number][] = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const whole = seconds.reduce((sum, [, each]) => sum + each, 0);
  console.log(`The files took ${Math.round(whole)} s, ${FILES_AT_ONCE} at once. Most of it:`);
  for (const [name, each, used] of seconds.toSorted(([, a], [, b]) => b - a).slice(0, SLOWEST))
    console.log(
      `${each.toFixed(1).padStart(7)} s  ${nameOf(name)}, ${used.toFixed(1)} s of it by mocha's process itself`,
    );
  console.log();
}

// The summary is still printed after a Ctrl-C, of what ran until then.
process.on("SIGINT", () => undefined);
await main(process.argv.slice(2));
