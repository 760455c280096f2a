/**
 * Loaded by mocha before any test, in each of its processes. What test files share in a process is started by the first
 * that needs it, and ended by `atEnd`: after the file where files run side by side, else after the last of them.
 */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

// This process and those it starts may use checkpoints.
process.env.PAIDONCE_TEST = "1";

/** Of a run of all files: where each says how long it took, and how much of the processor this process had for it. */
export const SECONDS_FILE = "TEST_SECONDS_FILE";

/** What a test has left open may take this long to end by itself, on a busy machine too. */
const ENDS_WITHIN_MS = 60_000;

/** What no test file may leave behind: a child process, a server that listens. */
const LEFT_RUNNING = new Set(["ProcessWrap", "TCPServerWrap", "PipeServerWrap"]);

const endings: (() => Promise<void>)[] = [];
let startedAt = 0;
let usedBefore = process.cpuUsage();
let heldBefore = 0;

/** Does so once the test file is over. */
export function atEnd(end: () => Promise<void>): void {
  endings.push(end);
}

/** Mocha passes them on to nobody, where they would end a role's process. Thrown, they fail the test that runs. */
function failOnUnhandledRejection(reason: unknown): never {
  throw reason;
}

export const mochaHooks: Mocha.RootHookObject = {
  beforeAll() {
    // Where files run side by side, mocha removes it after each.
    process.off("unhandledRejection", failOnUnhandledRejection);
    process.on("unhandledRejection", failOnUnhandledRejection);
    startedAt = performance.now();
    usedBefore = process.cpuUsage();
    heldBefore = held();
  },

  async afterAll(this: Mocha.Context) {
    this.timeout(3 * ENDS_WITHIN_MS);
    for (const end of endings.splice(0).reverse()) await end();
    const { [SECONDS_FILE]: secondsFile } = process.env;
    const file = this.test?.parent?.suites.find((suite) => suite.file !== undefined)?.file;
    if (secondsFile !== undefined && file !== undefined) {
      const { user, system } = process.cpuUsage(usedBefore);
      const took = [(performance.now() - startedAt) / 1000, (user + system) / 1e6];
      appendFileSync(secondsFile, `${JSON.stringify([file, ...took])}\n`);
    }
    const deadline = performance.now() + ENDS_WITHIN_MS;
    while (held() > heldBefore) {
      if (performance.now() > deadline)
        throw new Error(`${file ?? "a test"} has left running: ${describeHeld().join(", ")}`);
      await sleep(50);
    }
  },
};

/** How many of them this process holds. */
function held(): number {
  return process.getActiveResourcesInfo().filter((name) => LEFT_RUNNING.has(name)).length;
}

/** Process ids and ports of all that it holds. Making the report takes long: only for a test that is red. */
function describeHeld(): string[] {
  const { libuv } = process.report.getReport() as { readonly libuv: readonly Handle[] };
  return libuv
    .filter(({ is_active, is_referenced }) => is_active && is_referenced)
    .filter(({ type, remoteEndpoint }) => type === "process" || (type === "tcp" && !remoteEndpoint))
    .map(({ type, pid, localEndpoint }) => `${type} ${pid ?? localEndpoint?.port ?? ""}`);
}

/** Of Node's report: https://nodejs.org/api/report.html */
type Handle = {
  readonly type: string;
  readonly is_active: boolean;
  readonly is_referenced: boolean;
  readonly pid?: number;
  readonly localEndpoint?: { readonly port: number } | null;
  readonly remoteEndpoint?: object | null;
};
