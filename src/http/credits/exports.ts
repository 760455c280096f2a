import type { DataSource } from "typeorm";
import { type Replica, readerOf } from "../../entities/replica.js";
import { listExceptions } from "../../settlement/read-exceptions.js";
import { listPayments } from "../../settlement/read-payments.js";
import { listSessions } from "../../settlement/read-sessions.js";
import { answerCsv, ROWS_AT_A_TIME } from "../server/csv.js";
import { merchantOf, type Route, stream } from "../server/route.js";
import type { Surroundings } from "../sessions/present-session.js";
import { SessionFilter, sessionFilter } from "../sessions/sessions.js";
import { ExceptionQuery, PaymentQuery } from "./credit.js";
import { exceptionCells, paymentCells, sessionCells } from "./csv-columns.js";
import { exceptionFilter, paymentFilter } from "./present-credit.js";

const contentType = "text/csv";

/** Lists as files, with the lists' own filters. */
export function exportRoutes(
  sources: Surroundings & { readonly dataSource: DataSource; readonly replica?: Replica },
): Route[] {
  // One for the whole file: what began on the primary must not go on behind it, with rows missing in between.
  const read = () => readerOf(sources, true);
  return [
    stream({
      path: "/v1/checkout/sessions.csv",
      access: "merchant",
      operationId: "exportSessions",
      summary: "Checkout sessions as CSV, the newest first",
      tag: "Checkout sessions",
      query: SessionFilter,
      contentType,
      stream: async (call, context) => {
        const filter = sessionFilter(call.query, merchantOf(call).merchantId);
        const from = read();
        await answerCsv(
          context,
          "sessions",
          (after) => from((manager) => listSessions(manager, filter, after?.id ?? null, ROWS_AT_A_TIME)),
          sessionCells(sources),
        );
      },
    }),
    stream({
      path: "/v1/payments.csv",
      access: "merchant",
      operationId: "exportPayments",
      summary: "Payments as CSV, the network's newest first",
      tag: "Payments",
      query: PaymentQuery,
      contentType,
      stream: async (call, context) => {
        const { merchantId } = merchantOf(call);
        const filter = paymentFilter(call.query);
        const from = read();
        await answerCsv(
          context,
          "payments",
          (after) => from((manager) => listPayments(manager, merchantId, filter, after, ROWS_AT_A_TIME)),
          paymentCells,
        );
      },
    }),
    stream({
      path: "/v1/exceptions.csv",
      access: "merchant",
      operationId: "exportExceptions",
      summary: "Exceptions as CSV, the network's newest first",
      tag: "Exceptions",
      query: ExceptionQuery,
      contentType,
      stream: async (call, context) => {
        const { merchantId } = merchantOf(call);
        const filter = exceptionFilter(call.query);
        const from = read();
        await answerCsv(
          context,
          "exceptions",
          (after) => from((manager) => listExceptions(manager, merchantId, filter, after, ROWS_AT_A_TIME)),
          exceptionCells,
        );
      },
    }),
  ];
}
