import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { stringify } from "csv-stringify";
import type { Context } from "koa";

/** Rows that are read from the database at a time: what an export keeps in memory, whatever its length. */
export const ROWS_AT_A_TIME = 500;

/** What a cell can hold. */
export type Cell = string | number | boolean | null;

/**
 * Answers with a CSV file, page by page, as fast as the caller takes it.
 *
 * A cell that a spreadsheet would read as a formula gets an apostrophe before it: a memo is written by a stranger,
 * and must not run on the merchant's desk.
 *
 * @param read the page behind a row; null for the first
 * @param columns of the file, in order, each with its cell
 */
export async function answerCsv<Row>(
  context: Context,
  name: string,
  read: (after: Row | null) => Promise<readonly Row[]>,
  columns: Readonly<Record<string, (row: Row) => Cell>>,
): Promise<void> {
  // Before the status is sent: a database that is away is a problem document, and not half a file.
  const first = await read(null);
  // Without a byte order mark Excel reads UTF-8 as if it were Latin-1.
  const csv = stringify({ bom: true, header: true, columns: Object.keys(columns), cast: CAST });
  const rows = Readable.from(cells(first, read, Object.values(columns)));
  // An export that breaks off ends the connection without its last chunk: nobody takes half of it for the whole.
  pipeline(rows, csv).catch(() => context.res.destroy());
  context.attachment(`${name}.csv`);
  context.type = "text/csv; charset=utf-8";
  context.body = csv;
}

const CAST = { boolean: String, string: harmless };

/**
 * What begins a formula, whatever blanks, controls or unseen characters stand before it: spreadsheets trim. Some take
 * the wide forms too.
 */
const FORMULA = /^[\s\p{Cc}\p{Cf}\p{Zs}]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u;

function harmless(cell: string): string {
  return FORMULA.test(cell) ? `'${cell}` : cell;
}

async function* cells<Row>(
  first: readonly Row[],
  read: (after: Row | null) => Promise<readonly Row[]>,
  columns: readonly ((row: Row) => Cell)[],
): AsyncGenerator<Cell[]> {
  let page = first;
  for (;;) {
    for (const row of page) yield columns.map((cell) => cell(row));
    const last = page.at(-1);
    if (page.length < ROWS_AT_A_TIME || last === undefined) return;
    page = await read(last);
  }
}
