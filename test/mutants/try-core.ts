import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { LogLevel, MutantResult, PartialStrykerOptions } from "@stryker-mutator/api/core";
import { Stryker } from "@stryker-mutator/core";
import { CORE_TESTS, TEST_FILES } from "./core-tests.js";
import type { Core } from "./cores.js";
import { EQUIVALENT, type Equivalent } from "./equivalent.js";
import { ERROR_WORDS } from "./error-words.js";

/** What became of the faults of one source file. */
export type FileScore = {
  readonly file: string;
  /** Found by a failed test, or by a test that no longer ended. */
  readonly found: number;
  readonly survivors: readonly Survivor[];
  /** Of those that are said to be equivalent: what a test has found, or what is there no more. */
  readonly wrongEquivalents: readonly Equivalent[];
};

export type Survivor = { readonly line: number; readonly fault: string; readonly isCovered: boolean };

/** What is no part of the build or of the tests' fixtures, and too large to be copied for nothing. */
const NOT_COPIED = ["dist", ".tools", ".paidonce", "bench", "docs", "assets", "deploy"];

/** A build without types: a type that a fault breaks is no find, and checking them takes most of a build's time. */
const BUILD = "node ../node_modules/typescript/bin/tsc -p . --noCheck --incremental false";

/**
 * Plants every fault of a core, one at a time, in a copy of the checkout, and runs the core's own tests on each.
 * To be called in the root of the checkout.
 * @throws where the tests fail without any fault
 */
export async function tryCore({ sources, tests }: Core): Promise<FileScore[]> {
  const folder = mkdtempSync(join(tmpdir(), "paidonce-cores-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  // StrykerJS ends the process itself at a Ctrl-C, and nothing below would be run.
  process.once("exit", remove);
  try {
    // Beside the copy, where Node looks next. StrykerJS would link them itself, but passes over what is a link already.
    symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
    const options: PartialStrykerOptions = {
      mutate: [...sources],
      ignorePatterns: NOT_COPIED,
      symlinkNodeModules: false,
      buildCommand: BUILD,
      // None: what would be read of it takes an interface that the compiler of this version does not have.
      tsconfigFile: "",
      testRunner: CORE_TESTS,
      [TEST_FILES]: tests.map((test) => `dist/${test.replace(/\.ts$/, ".js")}`),
      coverageAnalysis: "perTest",
      // A second one would take half the time here, and the machine from everybody else.
      concurrency: 1,
      plugins: ["./core-tests.js", "./error-words.js"].map((plugin) => import.meta.resolve(plugin)),
      ignorers: [ERROR_WORDS],
      reporters: [],
      logLevel: "error" as LogLevel,
      tempDirName: folder,
      cleanTempDir: "always",
      allowConsoleColors: false,
    };
    const mutants = await new Stryker(options).runMutationTest();
    const byFile = Map.groupBy(mutants, ({ fileName }) => relative(process.cwd(), fileName));
    return sources.map((file) => scoreOf(file, byFile.get(file) ?? []));
  } finally {
    process.off("exit", remove);
    remove();
  }
}

function scoreOf(file: string, mutants: readonly MutantResult[]): FileScore {
  const lines = readFileSync(file, "utf8").split("\n");
  const survivors = mutants.filter(({ status }) => status === "Survived" || status === "NoCoverage");
  const equivalent = EQUIVALENT.filter((each) => each.file === file);
  const isOf = (mutant: MutantResult) => (each: Equivalent) =>
    mutant.replacement === each.replace && textAt(lines, mutant.location) === each.find;
  return {
    file,
    found: mutants.filter(({ status }) => status === "Killed" || status === "Timeout").length,
    survivors: survivors
      .filter((mutant) => !equivalent.some(isOf(mutant)))
      .map(({ location, mutatorName, replacement = "", status }) => ({
        line: location.start.line,
        fault: `${mutatorName}: ${replacement.replace(/\s+/g, " ")}`,
        isCovered: status === "Survived",
      })),
    wrongEquivalents: equivalent.filter((each) => !survivors.some((mutant) => isOf(mutant)(each))),
  };
}

/** The text of a place; lines and columns count from 1, and the end is the first that is no part of it. */
function textAt(lines: readonly string[], { start, end }: MutantResult["location"]): string {
  const within = lines.slice(start.line - 1, end.line);
  const last = within.length - 1;
  return within
    .map((line, i) => line.slice(i === 0 ? start.column - 1 : 0, i === last ? end.column - 1 : undefined))
    .join("\n");
}
