import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { CLI } from "../support/role-process.js";

export type RoleName = "sandbox" | "ingest" | "consume" | "work" | "api";

export type MemberSpec = {
  /** `consume 2`. */
  readonly title: string;
  readonly role: RoleName;
  /** What follows the role's name on the command line. */
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Options of Node before the program, such as `--import`. */
  readonly execArgv?: readonly string[];
};

/** Lines kept of what a process writes, to be shown when the run fails. */
const KEPT_LINES = 400;

/** A supervisor waits a moment before it starts again what keeps dying. */
const RESTART_PAUSE_MS = 300;

/** A clean stop that takes longer is a hang. Roles give themselves 20 s. */
const STOP_WITHIN_MS = 30_000;

/** A role of the product as a process of its own, started again whenever it ends, as any supervisor would. */
export class Member {
  readonly lines: string[] = [];
  #child: ChildProcess | null = null;
  #ready: Promise<unknown> = Promise.resolve();
  #stopping = false;
  #extraEnv: Readonly<Record<string, string>> = {};
  /** Clean stops that ended with another code than 0, or not in time: each is a fault of the product. */
  readonly unclean: string[] = [];
  /** Ends that nobody asked for. */
  readonly crashes: string[] = [];
  #askedToEnd = new WeakSet<ChildProcess>();

  constructor(readonly spec: MemberSpec) {}

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** @returns when it says that it is ready */
  async start(): Promise<void> {
    this.#launch();
    await this.ready();
  }

  /** Resolves when the process that runs now is ready, or has ended. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  signal(name: NodeJS.Signals): void {
    const child = this.#child;
    if (child === null) return;
    if (name === "SIGKILL") this.#askedToEnd.add(child);
    child.kill(name);
  }

  /** Ends the process with SIGKILL; the next one has `env` over its own. */
  become(env: Readonly<Record<string, string>>): void {
    this.#extraEnv = env;
    this.signal("SIGKILL");
  }

  /** SIGTERM, waits for a clean end, and for the next process to be ready. */
  async roll(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#askedToEnd.add(child);
    const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    child.kill("SIGTERM");
    const hung = new AbortController();
    const outcome = await Promise.race([
      ended,
      sleep(STOP_WITHIN_MS, undefined, { signal: hung.signal }).catch(() => undefined),
    ]);
    hung.abort();
    if (outcome === undefined) {
      this.unclean.push(`${this.spec.title} did not stop within ${STOP_WITHIN_MS / 1000} s`);
      child.kill("SIGKILL");
      await ended;
    } else if (outcome[0] !== 0) {
      this.unclean.push(`${this.spec.title} ended with ${outcome[1] ?? outcome[0]} after SIGTERM`);
    }
    while (this.#child === child && !this.#stopping) await sleep(20);
    await this.ready();
  }

  /** SIGKILL, for good. */
  async end(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** At once, without waiting: for the end of this very process. */
  endNow(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }

  #launch(): void {
    const { role, args = [], env, execArgv = [] } = this.spec;
    const child = fork(CLI, [role, ...args], {
      env: { PATH: process.env.PATH ?? "", ...env, ...this.#extraEnv },
      execArgv: [...execArgv],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // A Ctrl-C in the terminal is for the driver, which ends the roles.
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#keep(text));
    }
    const ended = once(child, "exit").then(async ([code, signal]) => {
      if (this.#stopping) return;
      if (!this.#askedToEnd.has(child)) {
        this.crashes.push(`${this.spec.title} ended by itself (${signal ?? `code ${code}`})`);
      }
      await sleep(RESTART_PAUSE_MS);
      if (!this.#stopping && this.#child === child) this.#launch();
    });
    this.#ready = Promise.race([once(child, "message"), ended]);
  }

  #keep(text: string): void {
    this.lines.push(...text.split("\n").filter((line) => line !== ""));
    if (this.lines.length > KEPT_LINES) this.lines.splice(0, this.lines.length - KEPT_LINES);
  }
}

/** All roles of a run. */
export class Fleet {
  readonly members: readonly Member[];

  constructor(specs: readonly MemberSpec[]) {
    this.members = specs.map((spec) => new Member(spec));
  }

  of(role: RoleName): readonly Member[] {
    return this.members.filter(({ spec }) => spec.role === role);
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()));
  }
}
