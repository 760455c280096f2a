import { threadCpuUsage } from "node:process";

/** How much longer the long text is. */
const FACTOR = 8;

/** Linear work grows as the text does, quadratic work by 64. What lies between is what a busy machine may add. */
const MOST = 3 * FACTOR;

const TRIES = 8;

/** Fewer tell nothing: one slow measure of the short text would hide any growth. */
const LEAST_TRIES = 3;

/** CPU time that one measurement takes at the least, so that it is more than the clock's own grain. */
const LEAST_MICROSECONDS = 4_000;

/**
 * Whether work grows faster than its text does, when that becomes 8 times as long: CPU time of this thread alone, of each text
 * the best of several tries, so that what else the machine does counts little.
 * @param make a text of about that many bytes
 * @param work may throw: refusing is work too
 */
export function growsTooFast(
  make: (bytes: number) => string,
  work: (text: string) => unknown,
  bytes = 8_000,
): boolean {
  const [short, long] = [make(bytes), make(bytes * FACTOR)];
  let [ofShort, ofLong] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let tries = 1; tries <= TRIES; tries++) {
    ofShort = Math.min(ofShort, timeOf(work, short));
    ofLong = Math.min(ofLong, timeOf(work, long));
    if (tries >= LEAST_TRIES && ofLong <= MOST * ofShort) return false;
  }
  return true;
}

/** Microseconds that it takes once. */
function timeOf(work: (text: string) => unknown, text: string): number {
  for (let times = 1; ; times *= 4) {
    const before = threadCpuUsage();
    for (let i = 0; i < times; i++) attempt(work, text);
    const { user, system } = threadCpuUsage(before);
    if (user + system >= LEAST_MICROSECONDS) return (user + system) / times;
  }
}

function attempt(work: (text: string) => unknown, text: string): void {
  try {
    work(text);
  } catch {
    // Refused.
  }
}
