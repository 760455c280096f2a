import Mocha from "mocha";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const { Base, Spec } = Mocha.reporters;
const { EVENT_RUN_END, EVENT_TEST_END, EVENT_TEST_FAIL } = Mocha.Runner.constants;

/** The environment's name for how many files there are: then one line tells how far the run is, now and then. */
export const FILES = "TEST_FILES";

const PROGRESS_EVERY_MS = 20_000;

/** So long after the last test mocha's process has usually ended; what still holds it then is named. */
const NAMED_AFTER_MS = 20_000;

/** Mocha's readable report, which also hands mocha's own counts to run.ts. */
export default class CountingReporter extends Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const counts = (): Counts => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {};
      return { passed: passes, failed: failures, skipped: pending };
    };
    // Where it happens too, not only after the last file: a run that is cut off still says why it was red.
    runner.on(EVENT_TEST_FAIL, (test) => Base.list([test]));
    const progress = tellProgress(runner, counts);
    runner.once(EVENT_RUN_END, () => {
      clearInterval(progress);
      process.send?.(counts());
      setTimeout(
        () => console.error(`\nWhat keeps mocha from ending: ${process.getActiveResourcesInfo().join(", ")}`),
        NAMED_AFTER_MS,
      ).unref();
    });
  }
}

function tellProgress(runner: Mocha.Runner, counts: () => Counts): NodeJS.Timeout | undefined {
  const { [FILES]: all } = process.env;
  if (all === undefined) return undefined;
  const startedAt = performance.now();
  const files = new Set<string | undefined>();
  runner.on(EVENT_TEST_END, ({ file }) => files.add(file));
  return setInterval(() => {
    const { passed, failed } = counts();
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    console.error(`    … ${seconds} s: ${files.size} of ${all} files, ${passed} passed, ${failed} failed`);
  }, PROGRESS_EVERY_MS);
}
