import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { PostgresServer } from "../../stage/machine/postgres.js";

const run = promisify(execFile);

/** `kill -9` of the postmaster and of every process it has: it has to recover from its log. */
export async function killWholePostgres(server: Pick<PostgresServer, "pid" | "kill">): Promise<void> {
  const backends = await childrenOf(server.pid);
  const gone = server.kill();
  for (const pid of backends) killQuietly(pid);
  await gone;
}

/** Processes whose parent it is, `ps` itself where it is ours. */
export async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid="]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (ppid === parent && pid !== undefined ? [pid] : []));
}

/** Signals a process that may be gone already. */
export function killQuietly(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
