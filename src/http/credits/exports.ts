import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { stringify } from "csv-stringify";
import type { Context } from "koa";
import type { DataSource, EntityManager } from "typeorm";
import type { z } from "zod";
import { type Replica, readerOf } from "../../postgres/replica.js";
import { type ExceptionRecord, listExceptions } from "../../settlement/read-exceptions.js";
import { listPayments, type PaymentRecord } from "../../settlement/read-payments.js";
import { listSessions, type SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { merchantOf, type Route, stream } from "../server/route.js";
import { presentSession, type Surroundings } from "../sessions/session.js";
import { SessionFilter, sessionFilter } from "../sessions/sessions.js";
import {
  ExceptionQuery,
  exceptionFilter,
  PaymentQuery,
  paymentFilter,
  presentException,
  presentPayment,
  verdictFields,
} from "./credit.js";

/** Lists as files, with the lists' own filters. */
export function exportRoutes(
  sources: Surroundings & { readonly dataSource: DataSource; readonly replica?: Replica },
): Route[] {
  const fileRoute = <Q, Row>(file: ListAsFile<Q, Row>): Route =>
    stream({
      path: file.path,
      access: "merchant",
      operationId: file.operationId,
      summary: file.summary,
      tag: file.tag,
      query: file.query,
      contentType: "text/csv",
      stream: async (call, context) => {
        const { merchantId } = merchantOf(call);
        // One for the whole file: what began on the primary must not go on behind it, with rows missing in between.
        const from = readerOf(sources, true);
        const read = (after: Row | null) =>
          from((manager) => file.list(manager, merchantId, call.query, after));
        await answerCsv(context, file.name, read, file.cells);
      },
    });
  return [
    fileRoute({
      path: "/v1/checkout/sessions.csv",
      operationId: "exportSessions",
      summary: "Checkout sessions as CSV, the newest first",
      tag: "Checkout sessions",
      name: "sessions",
      query: SessionFilter,
      list: (manager, merchantId, query, after: SessionWithAnomaly | null) =>
        listSessions(manager, sessionFilter(query, merchantId), after?.id ?? null, ROWS_AT_A_TIME),
      cells: sessionCells(sources),
    }),
    fileRoute({
      path: "/v1/payments.csv",
      operationId: "exportPayments",
      summary: "Payments as CSV, the network's newest first",
      tag: "Payments",
      name: "payments",
      query: PaymentQuery,
      list: (manager, merchantId, query, after: PaymentRecord | null) =>
        listPayments(manager, merchantId, paymentFilter(query), after, ROWS_AT_A_TIME),
      cells: paymentCells,
    }),
    fileRoute({
      path: "/v1/exceptions.csv",
      operationId: "exportExceptions",
      summary: "Exceptions as CSV, the network's newest first",
      tag: "Exceptions",
      name: "exceptions",
      query: ExceptionQuery,
      list: (manager, merchantId, query, after: ExceptionRecord | null) =>
        listExceptions(manager, merchantId, exceptionFilter(query), after, ROWS_AT_A_TIME),
      cells: exceptionCells,
    }),
  ];
}

type ListAsFile<Q, Row> = {
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly tag: string;
  /** Of the file, without its ending. */
  readonly name: string;
  readonly query: z.ZodType<Q>;
  /** @param after the last row of the page before */
  readonly list: (
    manager: EntityManager,
    merchantId: string,
    query: Q,
    after: Row | null,
  ) => Promise<readonly Row[]>;
  readonly cells: Readonly<Record<string, (row: Row) => Cell>>;
};

/** The fields of an answer that become columns as they are. */
const SESSION = [
  "id",
  "status",
  "anomaly",
  "amount",
  "asset",
  "account",
  "muxed_id",
  "created_at",
  "expires_at",
  "grace_seconds",
  "paid_at",
] as const;

const CREDIT = [
  "key",
  "session_id",
  "amount",
  "asset",
  "account",
  "from",
  "transaction_hash",
  "muxed_id",
  "closed_at",
] as const;

export function sessionCells(around: Surroundings): Record<string, (row: SessionWithAnomaly) => Cell> {
  return columns(
    (session: SessionWithAnomaly) => {
      const { memo, metadata, ...rest } = presentSession(session, around);
      return { ...rest, ...memoCells(memo), metadata: JSON.stringify(metadata) };
    },
    [...SESSION, "memo_type", "memo", "metadata"],
  );
}

export const paymentCells = columns(
  (payment: PaymentRecord) => {
    const { memo, verdict, ...rest } = presentPayment(payment);
    return { ...rest, ...memoCells(memo), ...verdictFields(verdict) };
  },
  [
    ...CREDIT,
    "memo_type",
    "memo",
    "surplus",
    "settled_at",
    "verdict",
    "note",
    "decided_by",
    "decided_at",
    // Behind all that were there before it: whoever reads a file by position reads it still.
    "charge_id",
  ],
);

export const exceptionCells = columns(
  (exception: ExceptionRecord) => {
    const { memo, verdict, ...rest } = presentException(exception);
    return { ...rest, ...memoCells(memo), ...verdictFields(verdict) };
  },
  [
    ...CREDIT,
    "memo_type",
    "memo",
    "reason",
    "detail",
    "raised_at",
    "open",
    "verdict",
    "note",
    "decided_by",
    "decided_at",
  ],
);

/** One function per column, each row presented once. */
function columns<Row extends object, Name extends string>(
  present: (row: Row) => Readonly<Record<Name, Cell>>,
  names: readonly Name[],
): Record<string, (row: Row) => Cell> {
  let last: { row: Row; cells: Readonly<Record<Name, Cell>> } | null = null;
  const cellsOf = (row: Row) => {
    if (last?.row !== row) last = { row, cells: present(row) };
    return last.cells;
  };
  return Object.fromEntries(names.map((name) => [name, (row: Row) => cellsOf(row)[name]]));
}

function memoCells(memo: { readonly type: string; readonly value: string } | null) {
  return { memo_type: memo?.type ?? null, memo: memo?.value ?? null };
}

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
