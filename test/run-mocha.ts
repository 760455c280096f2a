import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Counts } from "./reporter.js";

/** What a test left open (a server, a timer, a connection) may take this long to end by itself, on a busy machine too. */
const ENDS_WITHIN_MS = 60_000;

const MOCHA = fileURLToPath(import.meta.resolve("mocha/bin/mocha.js"));
/** Compiled modules are kept for the next of mocha's processes: see src/cli/run-program.ts. */
const COMPILED = fileURLToPath(new URL("../.compiled", import.meta.url));
const REPORTER = fileURLToPath(new URL("./reporter.js", import.meta.url));

export type RunOptions = {
  /** The file that all is written to; where this process writes, by default. */
  readonly output?: number;
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
};

/**
 * Runs mocha in a process of its own, as the tests expect it, and counts by what mocha says.
 * @param args mocha's; files may be given as they are in the source tree
 */
export async function runMocha(args: readonly string[], { output, env }: RunOptions = {}): Promise<Counts> {
  const to = output ?? "inherit";
  const mocha = fork(MOCHA, [...optionsFor(args), "--reporter", REPORTER], {
    stdio: ["inherit", to, to, "ipc"],
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED, ...env },
  });
  const tell = (text: string) =>
    output === undefined ? console.error(text) : writeSync(output, `${text}\n`);
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
    tell(`\nmocha ended with ${signal ?? `code ${code}`} before it could count`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  if (lingering) tell(`\na test left something running: mocha did not end in ${ENDS_WITHIN_MS / 1000} s`);
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
  const { spec: _, ...config } = configuration();
  const options = Object.entries(config).map(([name, value]) =>
    value === false ? `--no-${name}` : `--${name}=${String(value)}`,
  );
  return ["--no-config", ...options, ...built];
}

/** Mocha's own: `spec` holds the patterns of all test files. */
export function configuration(): { readonly spec: readonly string[] } & Record<string, unknown> {
  return JSON.parse(readFileSync(".mocharc.json", "utf8"));
}

export async function ended(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
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
