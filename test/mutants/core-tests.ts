/**
 * A plugin for StrykerJS: runs the tests of a core in mocha, in one process for many faults. StrykerJS's own runner
 * reads files of mocha that version 12 has under other names.
 */
import type { InstrumenterContext, StrykerOptions } from "@stryker-mutator/api/core";
import { type InjectionToken, type PluginContext, PluginKind } from "@stryker-mutator/api/plugin";
import {
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from "@stryker-mutator/api/test-runner";
import Mocha from "mocha";

/** The name by which StrykerJS is told to use it. */
export const CORE_TESTS = "core-tests";

/** Its setting: the built test files, from the root of the copy. */
export const TEST_FILES = "coreTestFiles";

/** What the instrumented sources look at: which fault is planted now, and where they count what a test reaches. */
const planted: InstrumenterContext = {};
Object.assign(globalThis, { __stryker__: planted });

class CoreTests implements TestRunner {
  static readonly inject = ["options"] as const satisfies InjectionToken<PluginContext>[];

  // No time-out of its own: StrykerJS ends a process whose test no longer does.
  readonly #mocha = new Mocha({ timeout: 0 });
  #isLoaded = false;
  #results: TestResult[] = [];

  constructor(private readonly options: StrykerOptions) {}

  /** A module is loaded once: a fault in what runs while loading takes a new process. */
  capabilities(): { reloadEnvironment: boolean } {
    return { reloadEnvironment: false };
  }

  async init(): Promise<void> {
    const files = this.options[TEST_FILES];
    if (!Array.isArray(files)) throw new Error(`${TEST_FILES} is no list`);
    // As for every run of the tests, see .mocharc.json.
    for (const file of ["dist/test/support/environment.js", ...files]) this.#mocha.addFile(String(file));
    this.#mocha.cleanReferencesAfterRun(false);
    this.#mocha.suite.beforeEach(function () {
      const title = this.currentTest?.fullTitle();
      if (title === undefined) throw new Error("a test without a title");
      planted.currentTestId = title;
    });
    const results = (): TestResult[] => this.#results;
    this.#mocha.reporter(
      class extends Mocha.reporters.Base {
        constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
          super(runner, options);
          runner.on("pass", (test) => results().push({ ...named(test), status: TestStatus.Success }));
          runner.on("pending", (test) => results().push({ ...named(test), status: TestStatus.Skipped }));
          // Of a hook too, which has a title of its own.
          runner.on("fail", (test, error: Error) => {
            results().push({ ...named(test), status: TestStatus.Failed, failureMessage: String(error) });
          });
        }
      },
    );
  }

  async dryRun(): Promise<DryRunResult> {
    const result = await this.#run(false);
    const { mutantCoverage } = planted;
    return result.status === DryRunStatus.Complete && mutantCoverage !== undefined
      ? { ...result, mutantCoverage }
      : result;
  }

  async mutantRun({
    activeMutant,
    mutantActivation,
    testFilter,
    hitLimit,
  }: MutantRunOptions): Promise<MutantRunResult> {
    Object.assign(planted, { hitLimit, hitCount: hitLimit === undefined ? undefined : 0 });
    // Escaped, since titles hold brackets and points.
    const chosen = testFilter?.map((title) => title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|") ?? "";
    this.#mocha.grep(testFilter === undefined ? /^/ : new RegExp(`^(?:${chosen})$`));
    if (mutantActivation === "static") planted.activeMutant = activeMutant.id;
    return toMutantRunResult(await this.#run(true, activeMutant.id));
  }

  async #run(bail: boolean, mutantId?: string): Promise<DryRunResult> {
    this.#results = [];
    try {
      if (!this.#isLoaded) await this.#mocha.loadFilesAsync();
      this.#isLoaded = true;
    } catch (error) {
      // A fault that leaves no test to run is no find: it is told apart from a test that has failed.
      return { status: DryRunStatus.Error, errorMessage: String(error) };
    }
    if (mutantId !== undefined) planted.activeMutant = mutantId;
    bailIn(this.#mocha.suite, bail);
    await new Promise<void>((resolve) => {
      this.#mocha.run(() => resolve());
    });
    const endless = determineHitLimitReached(planted.hitCount, planted.hitLimit);
    return endless ?? { status: DryRunStatus.Complete, tests: this.#results };
  }
}

export const strykerPlugins = [{ kind: PluginKind.TestRunner, name: CORE_TESTS, injectableClass: CoreTests }];

/** Without it StrykerJS warns of a setting that it does not know. */
export const strykerValidationSchema = {
  properties: { [TEST_FILES]: { type: "array", items: { type: "string" } } },
};

function named(test: Mocha.Runnable): { id: string; name: string; timeSpentMs: number } {
  const title = test.fullTitle();
  return { id: title, name: title, timeSpentMs: test.duration ?? 0 };
}

function bailIn(suite: Mocha.Suite, bail: boolean): void {
  suite.bail(bail);
  for (const inner of suite.suites) bailIn(inner, bail);
}
