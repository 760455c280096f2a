/**
 * test/upgrade: the previous version, N, beside this checkout, N+1, on one stream and one database. N is its real code, from
 * the history of this repository; where that is not there, these tests are skipped, and say so.
 */
import { execFile } from "node:child_process";
import { readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bring } from "../support/bring.js";
import { PREVIOUS_VERSION } from "./previous-version.js";

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Built versions are kept: a commit never changes. Beside what else `./dev` brings, and as little in git. */
const VERSIONS = join(ROOT, ".tools", "versions");

/** What the program consists of. Its tests are not run. */
const PARTS = ["src", "assets", "package.json", "package-lock.json", "tsconfig.json"];

const COMPILER = join(ROOT, "node_modules", "typescript", "bin", "tsc");

/** Why the previous version can't be had here; null where it can. */
export async function whyNoPrevious(): Promise<string | null> {
  const commit = `${PREVIOUS_VERSION}^{commit}`;
  return git("cat-file", "-e", commit).then(
    () => null,
    () =>
      `commit ${PREVIOUS_VERSION} is not here: run it in a clone with its history (git fetch --unshallow)`,
  );
}

/**
 * Brings the previous version and builds it, if that was not done before.
 * @returns the folder; what is built is in its `dist`
 */
export async function bringPrevious(): Promise<string> {
  const needsOwn = await needsOwnPackages();
  const folder = join(VERSIONS, `${PREVIOUS_VERSION}${needsOwn ? "-own-packages" : ""}`);
  return bring(folder, async (making) => {
    const archive = join(making, "archive.tar");
    await git("archive", `--output=${archive}`, PREVIOUS_VERSION, ...PARTS);
    await run("tar", ["-xf", archive, "-C", making]);
    await rm(archive);
    if (needsOwn) await run("npm", ["ci", "--omit=dev", "--no-audit", "--no-fund"], { cwd: making });
    else await symlink(join(ROOT, "node_modules"), join(making, "node_modules"));
    // Its types were checked when it was written, and the packages that hold them may be others now.
    await run(process.execPath, [COMPILER, "-p", ".", "--noCheck", "--incremental", "false"], {
      cwd: making,
    });
  });
}

/** Whether it runs on other packages than this checkout does. */
async function needsOwnPackages(): Promise<boolean> {
  const [own, present] = await Promise.all([
    git("show", `${PREVIOUS_VERSION}:package-lock.json`),
    readFile(join(ROOT, "package-lock.json"), "utf8"),
  ]);
  return runtimePackages(own) !== runtimePackages(present);
}

type Lock = { readonly packages: Readonly<Record<string, { version?: string; dev?: boolean }>> };

function runtimePackages(text: string): string {
  const { packages } = JSON.parse(text) as Lock;
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path, { version }]) => `${path} ${version}`)
    .sort()
    .join("\n");
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run("git", args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}
