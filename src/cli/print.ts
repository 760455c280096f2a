import { visibleText } from "../visible-text.js";

let isReaderGone = false;

/**
 * To be called once, before anything is printed. A reader that has seen enough (`| head`) closes the pipe: that is no
 * failure of a command, and must not end one that is about to change something.
 */
export function surviveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      if (stream === process.stdout) isReaderGone = true;
    });
  }
}

/**
 * Prints lines on standard output, each with what a stranger may have written in it made visible. Resolves once they are
 * written, so that a long list takes no more memory than its reader has time for.
 * @returns whether anybody reads still; a list ends where nobody does, a change goes on
 */
export async function print(...lines: readonly string[]): Promise<boolean> {
  if (!isReaderGone && lines.length > 0) await write(process.stdout, lines);
  return !isReaderGone;
}

/** The same on standard error. */
export async function printError(...lines: readonly string[]): Promise<void> {
  await write(process.stderr, lines);
}

function write(stream: NodeJS.WriteStream, lines: readonly string[]): Promise<void> {
  const text = lines.map((line) => `${visibleText(line)}\n`).join("");
  // A pipe that was closed is told to the stream's listener, too.
  return new Promise((resolve) => stream.write(text, () => resolve()));
}

/** For scripts: documented in `paidonce --help`. */
export const EXIT = { ok: 0, failed: 1, usage: 2, outside: 3 } as const;
