import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ProgramMissingError, ServerStartError } from "./errors.js";
import type { KeeperOrder, KeeperReport, ServerExit } from "./keeper.js";

const KEEPER = fileURLToPath(new URL("./keeper.js", import.meta.url));

/** How often a starting server is asked whether it answers. */
const ASK_EVERY_MS = 25;

/** Lines of a server's log that go into an error. */
const LOG_LINES = 15;

/** A running server process with its keeper. Does not keep this process alive by itself. */
export interface KeptProcess {
  /** The server's own process id, not the keeper's. */
  readonly pid: number;
  /** Resolves, and never rejects, when the server has ended, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  hasExited(): boolean;
  /** Asks the server to end, and resolves when it has; SIGKILL when it takes too long. */
  stop(): Promise<ServerExit>;
  /** SIGKILL, and resolves when the process is gone. */
  kill(): Promise<ServerExit>;
}

/**
 * Starts a server under a keeper. Resolves as soon as the process exists; whether it answers is for
 * {@link untilReady}.
 * @throws ProgramMissingError when the command is not there
 */
export async function keep(server: Omit<KeeperOrder, "supervisor">): Promise<KeptProcess> {
  const order: KeeperOrder = { supervisor: process.pid, ...server };
  const keeper = fork(KEEPER, [JSON.stringify(order)], {
    cwd: "/",
    // A session of its own: a Ctrl-C in our terminal must not stop the server before the roles.
    detached: true,
    // Not ours: it holds secrets that are no server's business, and options of Node that are meant for us.
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" },
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });

  let exit: ServerExit | undefined;
  const started = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<ServerExit>();
  keeper.on("message", (report: KeeperReport) => {
    if (report.kind === "started") started.resolve(report.pid);
    else if (report.kind === "failed") started.reject(failure(report.code, report.reason));
    else exit = { code: report.code, signal: report.signal };
  });
  keeper.once("error", (error) => started.reject(error));
  // "close" comes after the last message was read, so that `exit` is known here if the keeper could tell it.
  keeper.once("close", () => {
    started.reject(new Error("the keeper ended before it started a server"));
    ended.resolve(exit ?? { code: null, signal: null });
  });

  const pid = await started.promise;
  const exited = ended.promise.then((told) => {
    // Somebody killed the keeper: without this line its server would stay for ever.
    if (exit === undefined) signal(pid, "SIGKILL");
    exit ??= told;
    return exit;
  });
  unref(keeper);

  const end = async (ask: () => void): Promise<ServerExit> => {
    ref(keeper);
    if (exit === undefined) ask();
    return await exited;
  };
  return {
    pid,
    exited,
    hasExited: () => exit !== undefined,
    stop: () => end(() => keeper.connected && keeper.send("stop")),
    kill: () => end(() => signal(pid, "SIGKILL")),
  };
}

/**
 * Asks `answers` again and again until it resolves. An error of it is an answer too: "not yet".
 * @throws ServerStartError when the server ends first, or after `within` milliseconds; the server is gone then
 */
export async function untilReady(
  what: string,
  server: KeptProcess,
  log: string,
  within: number,
  answers: () => Promise<void>,
): Promise<void> {
  const deadline = performance.now() + within;
  for (;;) {
    let last: unknown;
    try {
      await answers();
      if (!server.hasExited()) return;
    } catch (error) {
      last = error;
    }
    if (server.hasExited()) {
      const { code, signal } = await server.exited;
      throw new ServerStartError(
        what,
        `it ended with ${signal ?? `code ${code}`}`,
        await lastLines(log),
        last,
      );
    }
    if (performance.now() > deadline) {
      await server.kill();
      throw new ServerStartError(what, `no answer in ${within / 1000} s`, await lastLines(log), last);
    }
    await sleep(ASK_EVERY_MS);
  }
}

/** The end of a server's log; empty when there is none. */
async function lastLines(log: string): Promise<string> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-LOG_LINES).join("\n");
}

/** Sends a signal; a process that is no longer there is what the caller wanted. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function failure(code: string | undefined, reason: string): Error {
  return code === "ENOENT" ? new ProgramMissingError(reason) : new Error(reason);
}

/** A server that nobody waits for must not hold this process: when it is done, the keeper stops the server. */
function unref(keeper: ChildProcess): void {
  keeper.unref();
  keeper.channel?.unref();
}

function ref(keeper: ChildProcess): void {
  keeper.ref();
  keeper.channel?.ref();
}
