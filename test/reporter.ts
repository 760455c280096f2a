import Mocha from "mocha";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What run.ts is told over the channel it opened. */
export interface Report extends Counts {
  /** What each test file took, hooks and all. */
  readonly seconds: Readonly<Record<string, number>>;
}

const { Spec } = Mocha.reporters;
const { EVENT_RUN_END, EVENT_SUITE_BEGIN, EVENT_SUITE_END } = Mocha.Runner.constants;

/** Mocha's readable report, which also hands mocha's own counts to run.ts. */
export default class CountingReporter extends Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const seconds: Record<string, number> = {};
    let begunAt = 0;
    const fileOf = (suite: Mocha.Suite) => (suite.parent?.root === true ? suite.file : undefined);
    runner.on(EVENT_SUITE_BEGIN, (suite) => {
      if (fileOf(suite) !== undefined) begunAt = performance.now();
    });
    runner.on(EVENT_SUITE_END, (suite) => {
      const file = fileOf(suite);
      if (file !== undefined) seconds[file] = (seconds[file] ?? 0) + (performance.now() - begunAt) / 1000;
    });
    runner.once(EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {};
      process.send?.({ passed: passes, failed: failures, skipped: pending, seconds } satisfies Report);
    });
  }
}
