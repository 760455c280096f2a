/**
 * `./dev test`: formatter, linter and dead code, then the tests. The last line is always
 * `N passed, N failed, N skipped`, counted by mocha; a check that fails counts as one more failure. The exit code
 * is 0 only if nothing failed and something passed.
 *
 * Arguments are mocha's, and files may be given as they are in the source tree: test/machine/redis.test.ts.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Counts } from "./reporter.js";

/** What a test left open (a server, a timer, a connection) may take this long to end by itself. */
const ENDS_WITHIN_MS = 20_000;

const MOCHA = fileURLToPath(import.meta.resolve("mocha/bin/mocha.js"));
const REPORTER = fileURLToPath(new URL("./reporter.js", import.meta.url));

async function main(args: readonly string[]): Promise<void> {
  const lintFailed = await check();
  const { passed, failed, skipped } = await runTests(args);
  const allFailed = failed + (lintFailed ? 1 : 0);
  if (lintFailed) console.error("\nthe linter failed: see above, or `npm run lint`");
  if (passed + failed === 0) console.error("\nno test ran");
  process.exitCode = allFailed === 0 && passed > 0 ? 0 : 1;
  console.log(`${passed} passed, ${allFailed} failed, ${skipped} skipped`);
}

/** @returns true when it failed */
async function check(): Promise<boolean> {
  const { code } = await ended(spawn("npm", ["run", "--silent", "lint"], { stdio: "inherit" }));
  return code !== 0;
}

async function runTests(args: readonly string[]): Promise<Counts> {
  const mocha = fork(MOCHA, [...optionsFor(args), "--reporter", REPORTER]);
  let counts: Counts | undefined;
  let lingering = false;
  mocha.once("message", (message) => {
    counts = message as Counts;
    setTimeout(() => {
      lingering = true;
      mocha.kill("SIGKILL");
    }, ENDS_WITHIN_MS).unref();
  });
  const { code, signal } = await ended(mocha);
  if (counts === undefined) {
    console.error(`\nmocha ended with ${signal ?? `code ${code}`} before it could count`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  if (lingering)
    console.error(`\na test left something running: mocha did not end in ${ENDS_WITHIN_MS / 1000} s`);
  // It failed in a way that no test shows: an error after the last test, say.
  const hidden = counts.failed === 0 && code !== 0;
  return hidden ? { ...counts, failed: 1 } : counts;
}

/**
 * Mocha adds the files of its configuration to those it is given, so a single file could not be run: with files
 * given, the rest of the configuration is passed by hand.
 */
function optionsFor(args: readonly string[]): string[] {
  const built = args.map((arg) => arg.replace(/^(?:\.\/)?(test\/.*)\.ts$/, "dist/$1.js"));
  if (!built.some((arg) => arg.includes("dist/test/"))) return built;
  const { spec: _, ...config } = JSON.parse(readFileSync(".mocharc.json", "utf8")) as Record<string, unknown>;
  const options = Object.entries(config).map(([name, value]) =>
    value === false ? `--no-${name}` : `--${name}=${String(value)}`,
  );
  return ["--no-config", ...options, ...built];
}

async function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  // A Ctrl-C reaches the child by itself; a SIGTERM is for this process alone.
  const pass = () => child.kill("SIGTERM");
  process.on("SIGTERM", pass);
  try {
    const [code, signal] = await once(child, "exit");
    return { code, signal };
  } finally {
    process.off("SIGTERM", pass);
  }
}

// The summary is still printed after a Ctrl-C, of what ran until then.
process.on("SIGINT", () => undefined);
await main(process.argv.slice(2));
