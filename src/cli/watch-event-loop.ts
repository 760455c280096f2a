import { Worker } from "node:worker_threads";

/** A loop that has not turned for this long does not come back: it spins on promises that reject at once. */
const STANDS_AFTER_MS = 15_000;

const TICK_MS = 1_000;

/**
 * Runs in a thread of its own, since the process' own timers and signals need the loop that stands. Counts its own rounds and
 * asks no clock: a process that was stopped for an hour has lost nothing.
 */
const WATCH = `
  const { workerData } = require("node:worker_threads");
  const turns = new Int32Array(workerData.shared);
  let [seen, rounds] = [-1, 0];
  setInterval(() => {
    const now = Atomics.load(turns, 0);
    rounds = now === seen ? rounds + 1 : 0;
    seen = now;
    if (rounds * ${TICK_MS} < ${STANDS_AFTER_MS}) return;
    require("node:fs").writeSync(2, "paidonce: the event loop has stood for ${STANDS_AFTER_MS / 1000} s, and no signal is heard any more; ending\\n");
    process.kill(process.pid, "SIGKILL");
  }, ${TICK_MS});`;

/**
 * Ends the process where its event loop stands: it would hear no SIGTERM, and answer no probe. That is safe at any
 * point; whoever started it starts it again.
 */
export function watchEventLoop(): void {
  const shared = new SharedArrayBuffer(4);
  const turns = new Int32Array(shared);
  setInterval(() => Atomics.add(turns, 0, 1), TICK_MS / 2).unref();
  const watcher = new Worker(WATCH, {
    eval: true,
    workerData: { shared },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 },
  });
  watcher.on("error", () => undefined);
  watcher.unref();
}
