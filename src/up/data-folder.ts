import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

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
  const pid = Number(await readFile(file, "utf8").catch(() => ""));
  if (pid > 0 && isAlive(pid))
    throw new AlreadyRunningError(`paidonce is running here already (process ${pid})`);
  await rm(file, { force: true });
  // Exclusive: of two that start at once, one fails here.
  const handle = await open(file, "wx").catch(() => null);
  if (handle === null) throw new AlreadyRunningError("paidonce is being started here by another process");
  await handle.writeFile(`${process.pid}\n`);
  await handle.close();
  return {
    release: async () => {
      await rm(join(folder, ADDRESSES), { force: true });
      await rm(file, { force: true });
    },
  };
}

/** Writes how to reach the servers. Mode 600: the database's password is in it. */
export async function writeAddresses(folder: string, env: Record<string, string>): Promise<void> {
  await writeFile(join(folder, ADDRESSES), JSON.stringify(env), { mode: 0o600 });
}

/** Reads what a running `up` wrote; empty when none runs here. */
export async function readAddresses(folder: string): Promise<Record<string, string>> {
  const pid = Number(await readFile(join(folder, "up.pid"), "utf8").catch(() => ""));
  if (!(pid > 0 && isAlive(pid))) return {};
  const text = await readFile(join(folder, ADDRESSES), "utf8").catch(() => "{}");
  return JSON.parse(text) as Record<string, string>;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
