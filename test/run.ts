/**
 * `./dev test`: formatter, linter and dead code, then the tests, half of the files in each of two mochas at once.
 * The last line is always `N passed, N failed, N skipped`, counted by mocha; a check that fails counts as one more
 * failure. The exit code is 0 only if nothing failed and something passed.
 *
 * Arguments are mocha's, and with any there is one mocha alone, which does what they ask. Files may be given as they
 * are in the source tree: test/machine/redis.test.ts.
 */
import { spawn } from "node:child_process";
import { closeSync, globSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterTests } from "./guarantees.js";
import { halves, nameOf } from "./halves.js";
import type { Report } from "./reporter.js";
import { configuration, ended, runMocha } from "./run-mocha.js";

/** So many of the slowest files are named: where to look when the run takes too long. */
const SLOWEST = 10;

/** Each story is told with locks and without; on a cluster once, with the locks in it. */
const WITHOUT_LOCKS_OFF = ["--grep", "LOCKS=off|locks off", "--invert"];

async function main(args: readonly string[]): Promise<void> {
  const lintFailed = await check();
  const reports = args.length > 0 ? [await runMocha(args)] : await runHalves();
  const sum = (what: "passed" | "failed" | "skipped") => reports.reduce((n, report) => n + report[what], 0);
  const passed = sum("passed");
  const failed = sum("failed") + (lintFailed ? 1 : 0);
  if (lintFailed) console.error("\nthe linter failed: see above, or `npm run lint`");
  if (passed + sum("failed") === 0) console.error("\nno test ran");
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  console.log(`${passed} passed, ${failed} failed, ${sum("skipped")} skipped`);
}

/** @returns true when it failed */
async function check(): Promise<boolean> {
  const { code } = await ended(spawn("npm", ["run", "--silent", "lint"], { stdio: "inherit" }));
  return code !== 0;
}

/** The first half's report is written as it comes, the second's in whole after it: mixed, neither could be read. */
async function runHalves(): Promise<Report[]> {
  const [first, second] = halves(globSync(configuration().spec));
  const folder = mkdtempSync(join(tmpdir(), "paidonce-report-"));
  const held = join(folder, "second-half.txt");
  // A file, not a pipe: a pipe stays open for as long as anything lives that a test has left behind.
  const output = openSync(held, "w");
  const heldCluster = join(folder, "cluster.txt");
  const onCluster = openSync(heldCluster, "w");
  // In a file mocha sees no terminal.
  const color = process.stdout.isTTY ? ["--color"] : [];
  try {
    console.log("\nTwo halves of the test files run at once. The first:");
    const running = [
      runMocha(first),
      runMocha([...second, ...color], { output }),
      runMocha([...clusterTests(), ...WITHOUT_LOCKS_OFF, ...color], {
        output: onCluster,
        env: { TEST_REDIS: "cluster" },
      }),
    ];
    await running[0];
    console.log("The second half, as soon as it has ended:");
    const reports = await Promise.all(running);
    process.stdout.write(readFileSync(held));
    console.log("What reads streams once more, on a Redis Cluster of three masters and three replicas:");
    process.stdout.write(readFileSync(heldCluster));
    tellSlowest(reports);
    return reports;
  } finally {
    closeSync(output);
    closeSync(onCluster);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Nothing fails for being slow: this is for whoever wants the run to be quicker, and for the list in halves.ts. */
function tellSlowest(reports: readonly Report[]): void {
  const whole = reports.map(({ seconds }) => Object.values(seconds).reduce((sum, each) => sum + each, 0));
  const slowest = reports
    .flatMap(({ seconds }) => Object.entries(seconds))
    .sort(([, a], [, b]) => b - a)
    .slice(0, SLOWEST);
  // After a Ctrl-C there is nothing to tell.
  if (slowest.length === 0) return;
  console.log(
    `The halves took ${whole.map((seconds) => `${Math.round(seconds)} s`).join(" and ")}. Most of it:`,
  );
  for (const [file, seconds] of slowest) console.log(`${seconds.toFixed(1).padStart(7)} s  ${nameOf(file)}`);
  console.log();
}

// The summary is still printed after a Ctrl-C, of what ran until then.
process.on("SIGINT", () => undefined);
await main(process.argv.slice(2));
