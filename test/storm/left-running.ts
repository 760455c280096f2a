import { childrenOf } from "../support/kill.js";

/** Children of this process that still run, without those of before. */
export async function leftRunning(before: readonly number[] = []): Promise<number[]> {
  const now = await childrenOf(process.pid);
  // Whoever made the list stands in it, and has ended.
  return now.filter((pid) => !before.includes(pid) && isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
