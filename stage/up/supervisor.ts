import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";

export type RoleSpec = {
  /** Shown when something happens to it. */
  readonly title: string;
  /** Arguments of the CLI, the command first. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
};

/** A role that keeps dying is started again, but not in a tight loop. */
const RESTART_PAUSE_MS = 1_000;

/** How long a role may take to stop: a little more than it gives itself. */
const STOP_WITHIN_MS = 25_000;

/** Runs roles as child processes, prints what they print, and starts one again when it dies. */
export class Supervisor {
  readonly #program: string;
  readonly #print: (line: string) => void;
  readonly #roles: { readonly spec: RoleSpec; child: ChildProcess | null }[] = [];
  #stopping = false;

  /** @param program the CLI's own file */
  constructor(program: string, print: (line: string) => void) {
    this.#program = program;
    this.#print = print;
  }

  /**
   * Starts a role.
   * @returns when it says that it is ready
   * @throws Error when it ends before that
   */
  async start(spec: RoleSpec): Promise<void> {
    const role = { spec, child: null as ChildProcess | null };
    this.#roles.push(role);
    await this.#launch(role);
  }

  /** Stops every role, the newest first: what makes work before what does it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { child } of [...this.#roles].reverse()) {
      if (child === null || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
      await ended;
      clearTimeout(timer);
    }
  }

  #launch(role: { readonly spec: RoleSpec; child: ChildProcess | null }): Promise<void> {
    const { title, args, env } = role.spec;
    const child = fork(this.#program, args, {
      env,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // Out of the terminal's process group: Ctrl-C reaches the supervisor, which stops the roles in order.
      detached: true,
    });
    role.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", this.#print);
    }
    return new Promise((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code, signal) => {
        if (this.#stopping) return resolve();
        reject(new Error(`${title} ended before it was ready (${signal ?? code})`));
        this.#print(`${title} ended (${signal ?? `exit code ${code}`}); starting it again`);
        setTimeout(() => {
          // Its failure is printed above and tried again here.
          if (!this.#stopping) this.#launch(role).catch(() => undefined);
        }, RESTART_PAUSE_MS);
      });
    });
  }
}
