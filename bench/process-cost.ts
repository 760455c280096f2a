import { readdir, readFile } from "node:fs/promises";

/** Ticks of the kernel in a second: 100 on every Linux that Node runs on. */
const TICKS = 100;

const KIB = 1_024;

/** Whether the kernel tells what a process costs: /proc, which Linux alone has. */
export const KNOWS_COSTS = process.platform === "linux";

/** Seconds of a processor that a process has used so far, in its own code and in the kernel for it. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS;
}

/** The same of a process with all that it started, those that have ended included: Postgres has one for each connection. */
export async function cpuSecondsOfFamily(pid: number): Promise<number> {
  const own = await statOf(pid);
  let ticks = [UTIME, STIME, CUTIME, CSTIME].reduce((sum, field) => sum + Number(own[field]), 0);
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // Ended meanwhile: then it is in its parent's sum.
    const fields = await statOf(Number(name)).catch(() => []);
    if (Number(fields[PPID]) === pid) ticks += Number(fields[UTIME]) + Number(fields[STIME]);
  }
  return ticks / TICKS;
}

/** Bytes that a process holds in memory now. */
export async function residentBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * KIB;
}

// Fields of proc_pid_stat(5), counted from the state, which comes after the name.
const PPID = 1;
const UTIME = 11;
const STIME = 12;
const CUTIME = 13;
const CSTIME = 14;

async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name in brackets can hold spaces and brackets itself: what counts comes after the last one.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
