/**
 * The keeper: a process between a supervisor and one server, which stops the server when the supervisor is
 * gone, however it went. The channel between them closes by the kernel's hand, so this holds for `kill -9` too.
 *
 * It runs in a session of its own: a Ctrl-C in the terminal reaches the supervisor and the roles, and the
 * servers stay up until the roles have finished with them.
 *
 * The server inherits its environment, which its supervisor made: no secret of the service's own reaches either.
 * It imports nothing of the project, so that it starts fast and can't break with it.
 */
import { spawn } from "node:child_process";
import { openSync, rmSync } from "node:fs";

export interface KeeperOrder {
  /** The process that decides about this server. On the command line it tells a later start whether that one still lives. */
  readonly supervisor: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The user to run as, when it is not ours. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** The server's output goes to this file, which is emptied first. */
  readonly log: string;
  readonly stopSignal: "SIGINT" | "SIGTERM";
  /** Milliseconds from `stopSignal` to SIGKILL. */
  readonly stopWithin: number;
  /** Folders removed once the server has ended, if by then the supervisor is gone and can't do it. */
  readonly throwaway: readonly string[];
}

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type KeeperReport =
  | { readonly kind: "started"; readonly pid: number }
  | { readonly kind: "failed"; readonly reason: string; readonly code: string | undefined }
  | ({ readonly kind: "exited" } & ServerExit);

function keepServer(order: KeeperOrder): void {
  const log = openSync(order.log, "w", 0o600);
  const server = spawn(order.command, order.args, {
    cwd: order.cwd,
    stdio: ["ignore", log, log],
    ...order.user,
  });
  let stopping = false;

  const stop = () => {
    if (stopping) return;
    stopping = true;
    server.kill(order.stopSignal);
    setTimeout(() => server.kill("SIGKILL"), order.stopWithin).unref();
  };

  server.once("error", fail);
  server.once("exit", (code, signal) => {
    if (!process.connected) {
      for (const dir of order.throwaway) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    }
    report({ kind: "exited", code, signal }, () => process.exit(code ?? 1));
  });
  if (server.pid !== undefined) report({ kind: "started", pid: server.pid });

  process.once("disconnect", stop);
  process.on("message", stop);
  process.on("SIGTERM", stop);
  // Only the supervisor decides: a Ctrl-C or a closed terminal is its business.
  process.on("SIGINT", () => undefined);
  process.on("SIGHUP", () => undefined);
  // The supervisor may have gone while this process was starting: its disconnect came before our listener.
  if (!process.connected) stop();
}

function fail({ message: reason, code }: NodeJS.ErrnoException): void {
  report({ kind: "failed", reason, code }, () => process.exit(1));
}

function report(message: KeeperReport, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, then);
  else then();
}

const [order] = process.argv.slice(2);
if (order === undefined)
  throw new Error("the keeper is started by stage/machine/kept-process.ts, with an order");
try {
  keepServer(JSON.parse(order) as KeeperOrder);
} catch (error) {
  fail(error as NodeJS.ErrnoException);
}
