import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";

/**
 * What a server has to know again after a restart, a line of JSON for each change. Lines are handed to the operating
 * system before anyone is answered; they survive the process, not a power cut.
 */
export class Journal<Line> {
  constructor(readonly path: string) {}

  /**
   * Reads what is there and cuts off a last line that a crash left unfinished. Lines were written by `append`: they are
   * checked for being JSON, and trusted for the rest.
   * @returns nothing for a new journal
   * @throws SyntaxError when a line other than the last is broken
   */
  read(): Line[] {
    if (!existsSync(this.path)) return [];
    const bytes = readFileSync(this.path);
    const end = bytes.lastIndexOf("\n") + 1;
    if (end < bytes.length) truncateSync(this.path, end);
    const lines = bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1);
    return lines.map((line): Line => JSON.parse(line));
  }

  append(line: Line): void {
    appendFileSync(this.path, `${JSON.stringify(line)}\n`);
  }
}
