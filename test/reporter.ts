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

/** So long after the last test mocha's process has usually ended; what still holds it then is named. */
const NAMED_AFTER_MS = 20_000;

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
      setTimeout(
        () => console.error(`\nWhat keeps mocha from ending:\n${heldOpen().join("\n")}`),
        NAMED_AFTER_MS,
      ).unref();
    });
  }
}

/** One of the report's: a socket, a child process, a pipe (https://nodejs.org/api/report.html). */
type Handle = {
  readonly type: string;
  readonly is_active: boolean;
  readonly is_referenced: boolean;
  readonly pid?: number;
  readonly localEndpoint?: Endpoint | null;
  readonly remoteEndpoint?: Endpoint | null;
};
type Endpoint = { readonly port: number };

/** What keeps this process alive, a line each: a test that has left something behind is found by it. */
function heldOpen(): string[] {
  const { libuv } = process.report.getReport() as { readonly libuv: readonly Handle[] };
  const handles = libuv
    .filter(({ is_active, is_referenced }) => is_active && is_referenced)
    .map(({ type, pid, localEndpoint, remoteEndpoint }) =>
      [`  ${type}`, pid && `pid ${pid}`, localEndpoint?.port, remoteEndpoint && `to ${remoteEndpoint.port}`]
        .filter(Boolean)
        .join(" "),
    );
  return [...handles, `  in all: ${process.getActiveResourcesInfo().join(", ")}`];
}
