import { setTimeout as sleep } from "node:timers/promises";

/** Cold caches and code that is not compiled yet are no part of a pace: what comes before is not counted. */
const WARM_AFTER = 0.1;

const LOOK_EVERY_MS = 5;

/** Nothing has moved for this long: something is stuck, and waiting on would measure the waiting. */
const STUCK_AFTER_MS = 60_000;

/**
 * Watches work until it is done.
 * @param done how much of it is done by now
 * @returns per second, from the first tenth to the last
 * @throws Error when nothing moves any more
 */
export async function paceOf(total: number, done: () => Promise<number> | number): Promise<number> {
  let warm: { readonly at: number; readonly count: number } | null = null;
  let last = { at: performance.now(), count: -1 };
  for (;;) {
    const count = await done();
    const at = performance.now();
    // Where so little is to be done that it is over at once, all of it counts.
    if (warm === null && count >= total * WARM_AFTER && count < total) warm = { at, count };
    if (count >= total) {
      const from = warm ?? { at: last.at, count: Math.max(0, last.count) };
      return (count - from.count) / Math.max(1e-3, (at - from.at) / 1000);
    }
    if (count !== last.count) last = { at, count };
    else if (at - last.at > STUCK_AFTER_MS) throw new Error(`stuck: ${count} of ${total} are done`);
    await sleep(LOOK_EVERY_MS);
  }
}
