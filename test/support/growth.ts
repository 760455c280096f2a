import { threadCpuUsage } from "node:process";

/** How much longer the long text is. */
const FACTOR = 8;

/** Linear work grows as the text does, quadratic work by 64. What lies between is what a busy machine may add. */
const MOST = 3 * FACTOR;

const TRIES = 8;

/** CPU time that one measurement takes at the least, so that it is more than the clock's own grain. */
const LEAST_MICROSECONDS = 4_000;

/**
 * By how much more work grows when its text becomes 8 times as long: CPU time of this thread alone, the best of several
 * tries, so that what else the machine does counts little.
 * @param make a text of about that many bytes
 * @param work may throw: refusing is work too
 */
export function growsTooFast(
  make: (bytes: number) => string,
  work: (text: string) => unknown,
  bytes = 8_000,
): boolean {
  const [short, long] = [make(bytes), make(bytes * FACTOR)];
  for (let i = 0; i < TRIES; i++) {
    if (timeOf(work, long) <= MOST * timeOf(work, short)) return false;
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
