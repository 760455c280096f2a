import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../stage/server/dice.js";

/** When each of a row of things is to happen, in nanoseconds from its beginning. */
export type Timetable = readonly bigint[];

/**
 * Customers do not know of each other: the gaps are exponential, so that some come close together (a Poisson process).
 * @param seed the same times for the same seed
 */
export function timetable(perSecond: number, seconds: number, seed = 1): Timetable {
  const random = seeded(seed);
  const times: bigint[] = [];
  for (let at = 0; ; ) {
    at += -Math.log(1 - random()) / perSecond;
    if (at >= seconds) return times;
    times.push(BigInt(Math.round(at * 1e9)));
  }
}

/**
 * Sends what is due when it is due, whatever became of what was sent before: an open loop. One that waited for answers
 * would ask less just when the service is slow, and would not see it (coordinated omission).
 * @param send sends things `from` up to and without `to`; must not block
 * @returns when each was to be sent, by the monotonic clock: what latencies are counted from
 */
export async function keepTo(
  times: Timetable,
  send: (from: number, to: number) => void,
): Promise<readonly bigint[]> {
  const start = process.hrtime.bigint() + 10_000_000n;
  for (let next = 0; next < times.length; ) {
    const now = process.hrtime.bigint() - start;
    let to = next;
    while (to < times.length && (times[to] ?? 0n) <= now) to++;
    if (to > next) send(next, to);
    next = to;
    await sleep(1);
  }
  return times.map((at) => start + at);
}
