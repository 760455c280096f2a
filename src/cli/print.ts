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

/** Rows of a list that are read from the database at a time. */
const PAGE = 200;

/**
 * Prints a list, as far as anybody reads it.
 * @param read the page behind a row; null for the first
 * @param none what to print where there is no row at all; null for nothing
 */
export async function printList<Row>(
  read: (after: Row | null, limit: number) => Promise<readonly Row[]>,
  describe: (row: Row) => readonly string[],
  none: string | null,
): Promise<void> {
  let after: Row | null = null;
  for (;;) {
    const page: readonly Row[] = await read(after, PAGE);
    if (after === null && page.length === 0 && none !== null) await print(none);
    for (const row of page) if (!(await print(...describe(row)))) return;
    after = page.at(-1) ?? null;
    if (page.length < PAGE) return;
  }
}
