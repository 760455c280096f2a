import { fork } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Counts } from "../reporter.js";
import type { Mutant } from "./list.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MOCHA = fileURLToPath(import.meta.resolve("mocha/bin/mocha.js"));
const REPORTER = fileURLToPath(new URL("../reporter.js", import.meta.url));

/** A test that hangs since a fault was planted is as red as one that fails, after this time. */
const TEST_TIMEOUT_MS = 60_000;

/** What a whole test file may take, which its mutant may have made endless. */
const FILE_TIMEOUT_MS = 600_000;

/** What became of a fault: `killed` where a test has failed, `survived` where all have passed. */
export type Outcome = "killed" | "survived";

/** Thrown where a run says nothing about the tests: the text is not there, or no test ran at all. */
export class NotTriedError extends Error {
  override readonly name = "NotTriedError";
}

/**
 * A copy of the build in a folder of its own, in which one fault at a time is planted. Everything else of the checkout is
 * linked, so that the tests find what they look for. The checkout itself is not touched.
 */
export class PlantedBuild implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "paidonce-mutants-"));

  constructor() {
    for (const name of readdirSync(ROOT)) {
      if (name === "dist") cpSync(join(ROOT, name), join(this.#folder, name), { recursive: true });
      else if (name !== ".git") symlinkSync(join(ROOT, name), join(this.#folder, name));
    }
  }

  /**
   * Plants a fault, runs the test file that must go red, and takes the fault out again.
   * @throws NotTriedError
   */
  async try(mutant: Mutant): Promise<Outcome> {
    const built = join("dist", mutant.file.replace(/\.ts$/, ".js"));
    writeFileSync(join(this.#folder, built), withFault(mutant));
    try {
      const { failed } = await this.#run(mutant.test);
      return failed > 0 ? "killed" : "survived";
    } finally {
      cpSync(join(ROOT, built), join(this.#folder, built));
    }
  }

  /** Runs a test file without any fault: one that is red anyhow proves nothing. @throws NotTriedError */
  async isGreen(test: string): Promise<boolean> {
    const { passed, failed } = await this.#run(test);
    return passed > 0 && failed === 0;
  }

  async #run(test: string): Promise<Counts> {
    const file = `dist/${test.replace(/\.ts$/, ".js")}`;
    const log = join(this.#folder, "mocha.log");
    const output = openSync(log, "w");
    const options = ["--no-config", "--require", "dist/test/support/environment.js", "--bail"];
    try {
      const mocha = fork(
        MOCHA,
        [...options, "--timeout", `${TEST_TIMEOUT_MS}`, "--reporter", REPORTER, file],
        {
          cwd: this.#folder,
          stdio: ["ignore", output, output, "ipc"],
          timeout: FILE_TIMEOUT_MS,
        },
      );
      let report: Counts | null = null;
      mocha.once("message", (message) => {
        report = message as Counts;
        // What a test has left running keeps nobody waiting: its servers end with it.
        setTimeout(() => mocha.kill("SIGTERM"), 5_000).unref();
      });
      await once(mocha, "exit");
      if (report === null) {
        throw new NotTriedError(`${test} did not run:\n${readFileSync(log, "utf8").slice(-2_000)}`);
      }
      return report;
    } finally {
      closeSync(output);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * The built text of a file with its fault. Types are taken away one file at a time: a build for each fault would take
 * longer than its test.
 * @throws NotTriedError where the text to replace does not stand in the file exactly once
 */
export function withFault({ file, find, replace }: Mutant): string {
  const source = readFileSync(join(ROOT, file), "utf8");
  const parts = source.split(find);
  if (parts.length !== 2) {
    throw new NotTriedError(`${file} has this ${parts.length - 1} times, and must have it once: ${find}`);
  }
  return stripTypeScriptTypes(parts.join(replace), { mode: "transform" });
}
