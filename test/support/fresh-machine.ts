import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** As near to a new user's machine as one gets on a used one. */
export interface FreshMachine {
  /** The clone of this checkout's last commit. */
  readonly checkout: string;
  /** An empty npm cache, an empty home, and no redis-server or our own Node in PATH. */
  readonly env: Record<string, string>;
  remove(): Promise<void>;
}

/** @param root the checkout to clone */
export async function freshMachine(root: string): Promise<FreshMachine> {
  const folder = await mkdtemp(join(tmpdir(), "paidonce-fresh-"));
  // Postgres may run as another user, who must be able to pass.
  await chmod(folder, 0o755);
  const [checkout, home, bin] = ["paidonce", "home", "bin"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([mkdir(home), mkdir(bin)]);
  await linkPrograms(bin, root);
  const env = { ...inherited(), HOME: home, PATH: bin, npm_config_cache: join(folder, "npm-cache") };
  // A checkout that another user owns is refused otherwise.
  await run("git", ["config", "--global", "--add", "safe.directory", "*"], { env });
  await run("git", ["clone", "--quiet", root, checkout], { env });
  return { checkout, env, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) };
}

/** How to reach the registry through what stands in between, and how to sign in there: not ours to know. */
function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined && /^(npm_config_.*|.*_proxy|NODE_EXTRA_CA_CERTS|LANG)$/i.test(name),
  );
  const own =
    process.env.HOME === undefined ? {} : { npm_config_userconfig: join(process.env.HOME, ".npmrc") };
  return { ...own, ...(Object.fromEntries(kept) as Record<string, string>) };
}

/** Links to every program in PATH, but for any Redis and what this checkout brought for itself. */
async function linkPrograms(bin: string, root: string): Promise<void> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    if (folder === "" || folder.startsWith(root)) continue;
    for (const name of await readdir(folder).catch(() => [])) {
      // The first in PATH wins, as in a shell.
      if (!name.startsWith("redis"))
        await symlink(join(folder, name), join(bin, name)).catch(() => undefined);
    }
  }
}

/** Bytes on disk, as `du` counts them. */
export async function sizeOf(path: string): Promise<number> {
  const { stdout } = await run("du", ["-sk", path]);
  return Number(stdout.split("\t")[0]) * 1024;
}

/** A process and all that it has started and not let go. */
export async function processTree(pid: number): Promise<number[]> {
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid="]);
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const tree = [pid];
  for (const parent of tree) {
    for (const [child, of] of rows) if (of === parent && child !== undefined) tree.push(child);
  }
  return tree;
}
