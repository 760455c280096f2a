import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { processInfo } from "../machine/process-info.js";

/** Where `up` keeps everything: databases, the sandbox's ledgers, and how to reach the servers while it runs. */
export const DATA_FOLDER = ".paidonce";

/** How the other commands find the servers of a running `up`. */
const ADDRESSES = "up.json";

export class AlreadyRunningError extends Error {
  override readonly name = "AlreadyRunningError";
}

/** Takes the folder for this process. @throws AlreadyRunningError while another `up` has it */
export async function claimDataFolder(folder: string): Promise<{ release(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const file = join(folder, "up.pid");
  if (!(await take(file))) {
    const pid = Number(await readFile(file, "utf8").catch(() => ""));
    if (await isUp(pid)) throw new AlreadyRunningError(`paidonce is running here already (process ${pid})`);
    // Left by a crash. Should two starts find it so in the same instant, Postgres lets one of them have its data.
    await rm(file, { force: true });
    if (!(await take(file)))
      throw new AlreadyRunningError("paidonce is being started here by another process");
  }
  return {
    release: async () => {
      await rm(join(folder, ADDRESSES), { force: true });
      await rm(file, { force: true });
    },
  };
}

/** Exclusive, and never seen half written. @returns false when the file is there already */
async function take(file: string): Promise<boolean> {
  const own = `${file}.${randomUUID()}`;
  await writeFile(own, `${process.pid}\n`);
  try {
    await link(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** Writes how to reach the servers. Mode 600: the database's password is in it. */
export async function writeAddresses(folder: string, env: Record<string, string>): Promise<void> {
  await writeFile(join(folder, ADDRESSES), JSON.stringify(env), { mode: 0o600 });
}

/** The three servers that the roles need. */
export const SERVERS = ["DATABASE_URL", "REDIS_URL", "HORIZON_URL"] as const;

/**
 * Where the environment names none of the servers, those of the `paidonce up` that runs in this folder are put into it, so
 * that `paidonce status` in another terminal just works.
 */
export async function findRunningUp(env: NodeJS.ProcessEnv): Promise<void> {
  if (SERVERS.some((name) => env[name])) return;
  // Set to nothing counts as not set here too: it must not hide the address of a running `up`.
  for (const [name, value] of Object.entries(await readAddresses(DATA_FOLDER))) env[name] ||= value;
}

/** Reads what a running `up` wrote; empty when none runs here. */
export async function readAddresses(folder: string): Promise<Record<string, string>> {
  const pid = Number(await readFile(join(folder, "up.pid"), "utf8").catch(() => ""));
  if (!(await isUp(pid))) return {};
  const text = await readFile(join(folder, ADDRESSES), "utf8").catch(() => "{}");
  return JSON.parse(text) as Record<string, string>;
}

/** After a restart of the machine a stranger can have the number: it counts only if it is an `up`. */
async function isUp(pid: number): Promise<boolean> {
  if (!(pid > 0)) return false;
  if (pid === process.pid) return true;
  const info = await processInfo(pid);
  return info !== undefined && / up( |$)/.test(info.commandLine);
}
