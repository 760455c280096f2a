import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { processInfo } from "../../stage/machine/process-info.js";
import type { Supervised } from "./supervisor.js";

export interface Supervisor {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly server: Supervised;
}

/** Runs supervisor.ts, the copy of it below `checkout` if given, as the leader of a process group of its own. */
export async function supervise(args: string[], checkout?: string): Promise<Supervisor> {
  const script =
    checkout === undefined
      ? fileURLToPath(new URL("./supervisor.js", import.meta.url))
      : `${checkout}/dist/test/machine/supervisor.js`;
  const child = spawn(process.execPath, [script, ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`the supervisor ended with ${signal ?? code} before its server was up`);
  });
  const [line] = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
  ended.catch(() => undefined);
  return { process: child, pid: child.pid ?? 0, server: JSON.parse(line as string) as Supervised };
}

/** `kill -9`, as an operator or the kernel out of memory does it. */
export async function killHard({ process: child }: Supervisor): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/**
 * Leaves a server without anybody who would stop it: the supervisor can't see that its keeper is killed, and
 * then is killed as well.
 */
export async function orphan(supervisor: Supervisor): Promise<void> {
  const keeper = (await processInfo(supervisor.server.pid))?.parent ?? 0;
  process.kill(supervisor.pid, "SIGSTOP");
  process.kill(keeper, "SIGKILL");
  await untilGone(keeper);
  await killHard(supervisor);
}

/** Resolves when a process of somebody else's has ended. There is no event to wait for. */
export async function untilGone(pid: number): Promise<void> {
  while ((await processInfo(pid)) !== undefined) await sleep(10);
}
