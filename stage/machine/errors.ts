/** A program this machine needs is not installed. The message says in one line what to install. */
export class ProgramMissingError extends Error {
  override readonly name = "ProgramMissingError";
}

/** A live server of somebody else's (a second `up`, say) is working on this folder. */
export class ServerInUseError extends Error {
  override readonly name = "ServerInUseError";
  readonly pid: number;

  constructor(what: string, dir: string, pid: number) {
    super(
      `${what} on ${dir} is already running as process ${pid}: stop what started it, or use another folder`,
    );
    this.pid = pid;
  }
}

/** A server ended, or did not answer, before it was ready. The message ends with the last lines of its log. */
export class ServerStartError extends Error {
  override readonly name = "ServerStartError";

  constructor(what: string, reason: string, log: string, cause?: unknown) {
    super(`${what} did not start: ${reason}${log === "" ? "" : `\n${log}`}`, { cause });
  }
}
