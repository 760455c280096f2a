import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { ServerStartError } from "./errors.js";
import { type PostgresBinaries, postgresBinaries } from "./postgres-binaries.js";
import { copyCluster, type Origin } from "./postgres-copy.js";
import { reachableFolder, type ServerUser, serverUser } from "./server-user.js";

const run = promisify(execFile);

export const WHAT = "postgres";
export const USER = "paidonce";

/** The first with a locale of its own, which no machine's libraries can change. */
const BUILTIN_LOCALE_FROM = 17;

/** A cluster on this machine's disk, and what runs it. */
export interface PostgresHome {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser | undefined;
  readonly dir: string;
  readonly data: string;
  readonly password: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly throwaway: readonly string[];
}

/** What a home is made from. */
export interface HomePlan {
  readonly dir: string | undefined;
  /** The folder of another Postgres' programs. */
  readonly binaries: string | undefined;
  readonly settings: Readonly<Record<string, string>>;
  /** The server whose copy it is; without it a new cluster. */
  readonly origin: Origin | undefined;
}

/**
 * Makes the folder and the cluster, where they are not there yet.
 * @throws ProgramMissingError when there is no Postgres to make it with
 * @throws ServerStartError when the cluster could not be made
 */
export async function makeHome(plan: HomePlan): Promise<PostgresHome> {
  const user = await serverUser();
  const binaries = await postgresBinaries(user, plan.binaries);
  const asked =
    plan.dir === undefined ? await mkdtemp(join(tmpdir(), "paidonce-postgres-")) : resolve(plan.dir);
  if (plan.dir === undefined) await chmod(asked, 0o711);
  const dir = await reachableFolder(asked, user);
  const data = join(dir, "data");
  const throwaway = plan.dir === undefined ? [...new Set([asked, dir])] : [];
  const home = { binaries, user, dir, data, password: "", settings: plan.settings, throwaway };
  try {
    if (!(await isThere(data))) await makeCluster(home, plan.origin);
    return { ...home, password: await readFile(join(dir, "password"), "utf8") };
  } catch (error) {
    await removeHome(home);
    throw error;
  }
}

/** Removes what was made for this run alone. */
export async function removeHome({ throwaway }: Pick<PostgresHome, "throwaway">): Promise<void> {
  for (const folder of throwaway) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Makes the cluster under another name first: a half-made one, left by a crash, is never taken for a whole one. */
async function makeCluster(home: PostgresHome, origin: Origin | undefined): Promise<void> {
  const { user, dir, data } = home;
  const half = `${data}.${process.pid}`;
  await rm(half, { recursive: true, force: true });
  await mkdir(half, { mode: 0o700 });
  const password = join(dir, "password");
  const secret = origin === undefined ? randomBytes(24).toString("hex") : new URL(origin.url).password;
  await writeFile(password, secret, { mode: 0o600 });
  if (user !== undefined) {
    await chown(half, user.uid, user.gid);
    await chown(password, user.uid, user.gid);
  }
  try {
    if (origin === undefined) await initCluster(home, half, password);
    else await copyCluster(origin, half, user);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
  await rename(half, data);
}

async function initCluster(home: PostgresHome, half: string, password: string): Promise<void> {
  const { binaries, user, dir, settings } = home;
  const args = [
    `--pgdata=${half}`,
    `--username=${USER}`,
    `--pwfile=${password}`,
    "--auth=scram-sha-256",
    // The same order of text on every machine, whatever locales it has.
    "--encoding=UTF8",
    "--locale=C",
    ...((await majorVersion(binaries)) < BUILTIN_LOCALE_FROM
      ? []
      : ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]),
    "--no-instructions",
    ...(settings.fsync === "off" ? ["--no-sync"] : []),
  ];
  try {
    await run(binaries.initdb, args, {
      cwd: dir,
      env: { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" },
      ...user,
    });
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    throw new ServerStartError(WHAT, "initdb failed", stderr.trim(), error);
  }
}

/** `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)` */
async function majorVersion({ postgres }: PostgresBinaries): Promise<number> {
  const { stdout } = await run(postgres, ["--version"], { cwd: "/" });
  return Number(/\) (\d+)/.exec(stdout)?.[1]);
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
