import { chown, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import pg from "pg";
import type { ServerUser } from "./server-user.js";

/** A running server, as much of it as a copy needs. */
export interface Origin {
  /** With user and password: the copy's are the same. */
  readonly url: string;
  readonly port: number;
  /** Its data is in `data` below. */
  readonly dir: string;
}

/** What belongs to the running server alone, or is made anew at a start. The folders themselves must be there. */
const EMPTY_FOLDERS = new Set([
  "pg_wal",
  "pg_replslot",
  "pg_dynshmem",
  "pg_notify",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
]);

/** What ALTER SYSTEM has set there was meant for that server: a read-only primary, say, has no read-only heir. */
const LEFT_OUT = new Set([
  "postmaster.pid",
  "postmaster.opts",
  "postgresql.auto.conf",
  "backup_label",
  "backup_label.old",
  "tablespace_map",
  "standby.signal",
]);

/**
 * Copies a running server's cluster into an empty folder, by the server's own protocol for backups (PostgreSQL docs,
 * "Making a Base Backup Using the Low Level API"), since `pg_basebackup` is not among the programs that came with
 * `npm ci`. What is copied becomes a standby that follows it.
 * @param user who must own the copy, when it is not us
 * @throws the database's error, or that of the file system
 */
export async function copyCluster(origin: Origin, to: string, user: ServerUser | undefined): Promise<void> {
  const client = new pg.Client({ connectionString: origin.url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT pg_backup_start('standby', fast => true)");
    const from = join(origin.dir, "data");
    await copyFolder(from, from, to, user);
    const { rows } = await client.query<{ labelfile: string }>(
      "SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)",
    );
    // Without it the copy would believe its own pg_control, and begin in the middle of a change.
    await writeOwned(join(to, "backup_label"), rows[0]?.labelfile ?? "", user);
  } finally {
    await client.end().catch(() => undefined);
  }
  await writeOwned(join(to, "standby.signal"), "", user);
  await writeOwned(join(to, "postgresql.auto.conf"), `primary_conninfo = '${conninfoOf(origin)}'\n`, user);
}

/** The standby's name is what the primary's synchronous_standby_names knows it by. */
export const STANDBY_NAME = "standby";

function conninfoOf({ url, port }: Origin): string {
  const { username, password } = new URL(url);
  return `host=127.0.0.1 port=${port} user=${username} password=${password} application_name=${STANDBY_NAME}`;
}

async function copyFolder(
  root: string,
  from: string,
  to: string,
  user: ServerUser | undefined,
): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const path = join(from, entry.name);
    const copy = join(to, entry.name);
    const isTop = from === root;
    if (entry.isDirectory()) {
      await mkdir(copy, { mode: 0o700 });
      if (user !== undefined) await chown(copy, user.uid, user.gid);
      if (!EMPTY_FOLDERS.has(relative(root, path))) await copyFolder(root, path, copy, user);
      else if (entry.name === "pg_wal") await makeOwned(join(copy, "archive_status"), user);
    } else if (!(isTop && LEFT_OUT.has(entry.name))) {
      await copyOne(path, copy, user);
    }
  }
}

async function copyOne(path: string, copy: string, user: ServerUser | undefined): Promise<void> {
  try {
    await copyFile(path, copy);
    if (user !== undefined) await chown(copy, user.uid, user.gid);
  } catch (error) {
    // The server goes on meanwhile, and what it removes, its log removes from the copy too.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

async function makeOwned(folder: string, user: ServerUser | undefined): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (user !== undefined) await chown(folder, user.uid, user.gid);
}

async function writeOwned(path: string, text: string, user: ServerUser | undefined): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  if (user !== undefined) await chown(path, user.uid, user.gid);
}
