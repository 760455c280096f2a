import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";

export const CLI = fileURLToPath(new URL("../../stage/cli.js", import.meta.url));

const run = promisify(execFile);

export type RoleEnd = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A role of the service in a process of its own, as an operator runs it. */
export type RoleProcess = {
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<RoleEnd>;
  hasEnded(): boolean;
  send(signal: NodeJS.Signals): void;
  /** Everything it has written so far. */
  output(): string;
};

const running = new Set<RoleProcess>();

export type RoleEnvironment = Readonly<Record<string, string>>;

/** What a role is given: impatient, so that tests need not wait, and nothing from this process's own environment. */
export function roleEnvironment(env: RoleEnvironment): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    PAIDONCE_TEST: "1",
    // A consumer has no use for it, but every role checks that it is there.
    HORIZON_URL: "http://127.0.0.1:9",
    // As the sandboxes of tests: see OUT_OF_TIME in test/sandbox/stage.ts.
    HORIZON_REQUESTS_PER_HOUR: "0",
    NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
    CLAIM_IDLE_MS: "500",
    LOCK_LEASE_MS: "1000",
    INGEST_POLL_MS: "100",
    LOG_LEVEL: "warn",
    LOG_FORMAT: "json",
    ...env,
  };
}

/**
 * Starts a role and resolves when it says that it is ready.
 * @param execArgv options of Node, such as `--import`
 * @throws Error with what it wrote, when it ends before that
 */
export async function startRole(
  command: "consume" | "ingest" | "work" | "api",
  env: RoleEnvironment,
  execArgv: readonly string[] = [],
): Promise<RoleProcess> {
  return startScript(CLI, command, env, execArgv);
}

/** The same for a role that only tests have: a script that ends as roles do, by `runRole`. */
export async function startScript(
  script: string,
  command: string,
  env: RoleEnvironment,
  execArgv: readonly string[] = [],
): Promise<RoleProcess> {
  const child = fork(script, [command], {
    env: roleEnvironment(env),
    execArgv: [...execArgv],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const role: RoleProcess = {
    pid: child.pid ?? 0,
    ended: endOf(child),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    send: (signal) => child.kill(signal),
    output: () => output,
  };
  running.add(role);
  const early = role.ended.then(({ code, signal }) => {
    throw new Error(`${command} ended with ${signal ?? code} before it was ready\n${output}`);
  });
  await Promise.race([once(child, "message"), early]);
  early.catch(() => undefined);
  return role;
}

async function endOf(child: ChildProcess): Promise<RoleEnd> {
  // "close" and not "exit": by then all that it wrote has been read.
  const [code, signal] = (await once(child, "close")) as [RoleEnd["code"], RoleEnd["signal"]];
  return { code, signal };
}

/** For afterEach: ends every role that still runs, or is stopped, with SIGKILL. */
export async function endRoles(): Promise<void> {
  const left = [...running];
  running.clear();
  for (const role of left) if (!role.hasEnded()) role.send("SIGKILL");
  await Promise.all(left.map((role) => role.ended));
}

/** Whether a process is stopped by SIGSTOP. There is no event to wait for. */
export async function isPaused(pid: number): Promise<boolean> {
  if (process.platform === "linux") {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // The name in brackets can hold spaces and brackets itself: what counts comes after the last one.
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  }
  const { stdout } = await run("ps", ["-o", "state=", "-p", String(pid)]);
  return stdout.trimStart().startsWith("T");
}
