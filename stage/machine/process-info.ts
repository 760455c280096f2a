import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ServerInUseError } from "./errors.js";
import { signal } from "./kept-process.js";

const run = promisify(execFile);

/** A keeper whose supervisor has just died takes this long at most until its server is gone. */
const KEEPER_STOPS_WITHIN_MS = 10_000;

/** A server without a keeper gets this long to end by itself before it is killed. */
const ORPHAN_STOPS_WITHIN_MS = 10_000;

interface ProcessInfo {
  readonly parent: number;
  readonly commandLine: string;
}

/**
 * Makes sure that no server works on `dir` before another one starts there. `pid` comes from a file that the
 * last server left, so it can be dead, or by now be a stranger: it counts only if its command line names `dir`.
 *
 * A server whose supervisor lives is in use. One whose supervisor has just died is about to be stopped by its
 * keeper, so it is given time. One without a keeper would stay for ever: it is stopped here.
 * @throws ServerInUseError when it is in use
 */
export async function stopLeftover(
  what: string,
  pid: number,
  dir: string,
  stopSignal: NodeJS.Signals,
): Promise<void> {
  if (await gone(pid, dir, 0)) return;
  if (await isSupervised(pid)) throw new ServerInUseError(what, dir, pid);
  if (await gone(pid, dir, KEEPER_STOPS_WITHIN_MS, isKept)) return;
  signal(pid, stopSignal);
  if (await gone(pid, dir, ORPHAN_STOPS_WITHIN_MS)) return;
  signal(pid, "SIGKILL");
  await gone(pid, dir, ORPHAN_STOPS_WITHIN_MS);
}

/** Waits up to `within` ms, and no longer than `worthwhile`, for no process `pid` to work on `dir`. */
async function gone(
  pid: number,
  dir: string,
  within: number,
  worthwhile: (pid: number) => Promise<boolean> = async () => true,
): Promise<boolean> {
  const deadline = performance.now() + within;
  for (;;) {
    const info = await processInfo(pid);
    if (info === undefined || !info.commandLine.includes(dir)) return true;
    if (performance.now() >= deadline || !(await worthwhile(pid))) return false;
    await sleep(50);
  }
}

async function isSupervised(pid: number): Promise<boolean> {
  const keeper = await keeperOf(pid);
  const [, supervisor] = /"supervisor":(\d+)/.exec(keeper?.commandLine ?? "") ?? [];
  return keeper !== undefined && keeper.parent === Number(supervisor);
}

async function isKept(pid: number): Promise<boolean> {
  return (await keeperOf(pid)) !== undefined;
}

async function keeperOf(pid: number): Promise<ProcessInfo | undefined> {
  const info = await processInfo(pid);
  const parent = info === undefined ? undefined : await processInfo(info.parent);
  return parent?.commandLine.includes("keeper.js") ? parent : undefined;
}

/**
 * The identity of a process; undefined when there is none, or only a dead one that its parent has not collected yet.
 * From /proc, since a slim Linux has no `ps`; from `ps` where there is no /proc (macOS).
 */
export async function processInfo(pid: number): Promise<ProcessInfo | undefined> {
  try {
    const [stat, commandLine] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/cmdline`, "utf8"),
    ]);
    // The name in brackets can hold spaces and brackets itself: what counts comes after the last one.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z"
      ? undefined
      : { parent: Number(parent), commandLine: commandLine.replaceAll("\0", " ") };
  } catch {
    if (process.platform === "linux") return undefined;
  }
  try {
    const { stdout } = await run("ps", ["-ww", "-o", "ppid=,args=", "-p", String(pid)]);
    const [, parent, commandLine = ""] = /^\s*(\d+)\s(.*)/.exec(stdout) ?? [];
    return { parent: Number(parent), commandLine };
  } catch {
    return undefined;
  }
}
