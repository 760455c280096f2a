import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Every user can pass through here, and, unlike /tmp, it survives a restart of the machine. */
const OPEN_TO_ALL = "/var/tmp";

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom to run Postgres as, which refuses to run as root. Undefined: as ourselves, since we are not root.
 * As root: the machine's `postgres` user, else one of our own, else `nobody`.
 */
export async function serverUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  return (
    (await find("postgres")) ??
    (await find("paidonce")) ??
    (await create("paidonce")) ??
    (await find("nobody")) ??
    Promise.reject(
      new Error("Postgres can't run as root, and there is no user postgres or nobody to run it as"),
    )
  );
}

/** True when the user may run, or enter, what is at `path`. Asked of the system, which knows every folder above. */
export async function canReach(path: string, user: ServerUser | undefined): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", 'test -x "$1"', "sh", path], { cwd: "/", ...user });
    return true;
  } catch {
    return false;
  }
}

/**
 * `dir` itself when `user` can reach it; else a folder that belongs to `dir` alone, elsewhere.
 */
export async function reachableFolder(dir: string, user: ServerUser | undefined): Promise<string> {
  await mkdir(dir, { recursive: true });
  return (await canReach(dir, user)) ? dir : await privateFolder(dir);
}

/**
 * A folder outside the checkout that stands for `path`: always the same one, and others can pass but not write.
 * @throws when somebody else made it first, since then its content can't be trusted
 */
export async function privateFolder(path: string): Promise<string> {
  const folder = join(
    OPEN_TO_ALL,
    `paidonce-${createHash("sha256").update(path).digest("hex").slice(0, 16)}`,
  );
  await mkdir(folder, { mode: 0o711 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${folder} belongs to another user: remove it, or use a folder that Postgres can reach`);
  }
  // Whatever the umask was.
  await chmod(folder, 0o711);
  return folder;
}

async function find(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

async function create(name: string): Promise<ServerUser | undefined> {
  try {
    await run("useradd", [
      "--system",
      "--user-group",
      "--no-create-home",
      "--shell",
      "/usr/sbin/nologin",
      name,
    ]);
  } catch {
    // No useradd here, or two starts at once and the other one made it: what counts is whether it exists.
  }
  return await find(name);
}
