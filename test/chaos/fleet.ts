import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
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

/** Of a process that ended by itself: why it did stands there. */
const LAST_LINES = 3;

/** A supervisor waits a moment before it starts again what keeps dying. */
const RESTART_PAUSE_MS = 300;

/** A clean stop that takes longer is a hang. Roles give themselves 20 s. */
const STOP_WITHIN_MS = 30_000;

/** Liveness, far longer than a start takes on a busy machine. */
const READY_WITHIN_MS = 60_000;

/** Killed when this very process ends, however it does: each has a group of its own, which no Ctrl-C reaches. */
const running = new Set<ChildProcess>();

/** A role of the product as a process of its own, started again whenever it ends, as any supervisor would. */
export class Member {
  readonly lines: string[] = [];
  #child: ChildProcess | null = null;
  /** Whether the process that runs now got ready; it may end before. */
  #ready: Promise<boolean> = Promise.resolve(false);
  #paused: ChildProcess | null = null;
  #pauses = 0;
  #stopping = false;
  #extraEnv: Readonly<Record<string, string>> = {};
  /** Clean stops that ended with another code than 0, or not in time: each is a fault of the product. */
  readonly unclean: string[] = [];
  /** Ends that nobody asked for. */
  readonly crashes: string[] = [];
  #askedToEnd = new WeakSet<ChildProcess>();
  /** Is told every line that a process writes, and by which program it was written. */
  onLine: ((line: string, cli: string) => void) | null = null;

  /** @param cli the program; another one is run from the next start on */
  constructor(
    readonly spec: MemberSpec,
    public cli = CLI,
  ) {}

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** @returns when it says that it is ready */
  async start(): Promise<void> {
    this.#launch();
    await this.ready();
  }

  /** @returns whether the process that runs now is ready; false when it ended before */
  async ready(): Promise<boolean> {
    return await this.#ready;
  }

  get isRunning(): boolean {
    return this.#child !== null && !hasEnded(this.#child);
  }

  /** By SIGSTOP. */
  get isPaused(): boolean {
    return this.isRunning && this.#paused === this.#child;
  }

  /** @returns whether there was a process to hear it */
  signal(name: NodeJS.Signals): boolean {
    const child = this.#child;
    if (child === null || hasEnded(child)) return false;
    if (name === "SIGKILL") this.#askedToEnd.add(child);
    if (name === "SIGCONT") this.#paused = null;
    if (name === "SIGSTOP") {
      this.#paused = child;
      this.#pauses++;
    }
    return child.kill(name);
  }

  /**
   * Ends the process with SIGKILL; the next one has `env` over its own.
   * @returns when that one is ready
   * @throws Error when it does not get ready
   */
  async become(env: Readonly<Record<string, string>>): Promise<void> {
    this.#extraEnv = env;
    const before = this.#child;
    this.signal("SIGKILL");
    await this.#successor(before);
    await this.#getsReady();
  }

  /** SIGTERM, waits for a clean end, and for the next process to be ready. */
  async roll(): Promise<void> {
    // Before it is ready it has no ear for SIGTERM, and one that has ended already has no end to wait for.
    await this.#getsReady();
    const child = this.#child;
    if (child === null || this.#stopping) return;
    // One that was paused by a fault can't hear, which is no fault of its own.
    const wasPaused = this.isPaused;
    const pauses = this.#pauses;
    this.#askedToEnd.add(child);
    const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    child.kill("SIGTERM");
    const hung = new AbortController();
    const outcome = await Promise.race([
      ended,
      sleep(STOP_WITHIN_MS, undefined, { signal: hung.signal }).catch(() => undefined),
    ]);
    hung.abort();
    const isExcused = wasPaused || pauses !== this.#pauses || this.#stopping;
    if (outcome === undefined) {
      if (!isExcused) this.unclean.push(`${this.spec.title} did not stop within ${STOP_WITHIN_MS / 1000} s`);
      child.kill("SIGKILL");
      await ended;
    } else if (outcome[0] !== 0 && !isExcused) {
      this.unclean.push(`${this.spec.title} ended with ${outcome[1] ?? outcome[0]} after SIGTERM`);
    }
    await this.#successor(child);
    await this.#getsReady();
  }

  /** SIGKILL, for good. */
  async end(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === null || hasEnded(child)) return;
    // "close" and not "exit": by then all that it wrote has been read.
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  }

  /** @throws Error when it is not ready in time: nobody may wait for it without end, least of all the end itself */
  async #getsReady(): Promise<void> {
    const late = new AbortController();
    const isLate = sleep(READY_WITHIN_MS, null, { signal: late.signal }).catch(() => null);
    try {
      for (;;) {
        const isReady = await Promise.race([this.ready(), isLate]);
        if (this.#stopping || (isReady === true && this.isRunning)) return;
        if (isReady === null) throw new Error(`${this.spec.title} did not get ready`);
        await sleep(20);
      }
    } finally {
      late.abort();
    }
  }

  async #successor(child: ChildProcess | null): Promise<void> {
    while (this.#child === child && !this.#stopping) await sleep(20);
  }

  #launch(): void {
    const { role, args = [], env, execArgv = [] } = this.spec;
    const { cli } = this;
    const child = fork(cli, [role, ...args], {
      env: { PATH: process.env.PATH ?? "", ...env, ...this.#extraEnv },
      execArgv: [...execArgv],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // A Ctrl-C in the terminal is for the driver, which ends the roles.
      detached: true,
    });
    this.#child = child;
    if (running.size === 0) process.on("exit", killAll);
    running.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#keep(line, cli));
    }
    // "close" and not "exit": by then all that it wrote has been read.
    const ended = once(child, "close");
    void ended.then(async ([code, signal]) => {
      running.delete(child);
      if (running.size === 0) process.off("exit", killAll);
      if (this.#stopping) return;
      if (!this.#askedToEnd.has(child)) {
        const last = this.lines.slice(-LAST_LINES).join("\n    ");
        this.crashes.push(`${this.spec.title} ended by itself (${signal ?? `code ${code}`}):\n    ${last}`);
      }
      await sleep(RESTART_PAUSE_MS);
      if (!this.#stopping && this.#child === child) this.#launch();
    });
    this.#ready = Promise.race([once(child, "message").then(() => true), ended.then(() => false)]);
  }

  #keep(line: string, cli: string): void {
    if (line === "") return;
    if (this.lines.push(line) > KEPT_LINES) this.lines.shift();
    this.onLine?.(line, cli);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** All roles of a run. */
export class Fleet {
  readonly members: readonly Member[];

  constructor(specs: readonly MemberSpec[], cli = CLI) {
    this.members = specs.map((spec) => new Member(spec, cli));
  }

  of(role: RoleName): readonly Member[] {
    return this.members.filter(({ spec }) => spec.role === role);
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
  }

  /** The newest lines of each process that say what was not as it should be; most of it was tried again. */
  trouble(linesOfEach: number): string[] {
    return this.members.flatMap(({ spec, lines }) =>
      lines
        .filter(isTrouble)
        .slice(-linesOfEach)
        .map((line) => `${spec.title}: ${line}`),
    );
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()));
  }
}

function isTrouble(line: string): boolean {
  return !line.startsWith("{") || /"level":[456]0/.test(line);
}
