import { z } from "zod";
import { listExceptions } from "../../settlement/read-exceptions.js";
import { listPayments } from "../../settlement/read-payments.js";
import { readSession } from "../../settlement/read-sessions.js";
import { CREDIT_KEY_FORM, creditKeyText, parseCreditKey } from "../../stellar/credit.js";
import { decodeCursor, pageOf, toPage } from "../server/paging.js";
import { Problem } from "../server/problem.js";
import { merchantOf, type Route, read } from "../server/route.js";
import { noSession, OneSession } from "../sessions/sessions.js";
import { Exception, OneCredit, Payment, PaymentList } from "./credit.js";
import { paymentFilter, presentException, presentPayment } from "./present-credit.js";

/** More credits than this for one session are an attack or a mistake; the lists show them page by page. */
const CREDITS_OF_A_SESSION = 500;

/** The routes of payments. */
export function paymentRoutes(): Route[] {
  return [
    read({
      path: "/v1/payments",
      access: "merchant",
      operationId: "listPayments",
      mayLag: true,
      summary: "List and search payments, the network's newest first",
      tag: "Payments",
      query: PaymentList,
      answer: pageOf(Payment),
      read: async (call, manager) => {
        const { limit, cursor } = call.query;
        const before = decodeCursor(cursor, CREDIT_KEY_FORM);
        const payments = await listPayments(
          manager,
          merchantOf(call).merchantId,
          paymentFilter(call.query),
          before === null ? null : parseCreditKey(before),
          limit + 1,
        );
        return { body: toPage(payments, limit, creditKeyText, presentPayment) };
      },
    }),
    read({
      path: "/v1/payments/:key",
      access: "merchant",
      operationId: "getPayment",
      summary: "Get a payment",
      tag: "Payments",
      params: OneCredit,
      answer: Payment,
      read: async (call, manager) => {
        const { key } = call.params;
        const [payment] = await listPayments(manager, merchantOf(call).merchantId, { key }, null, 1);
        if (payment === undefined)
          throw new Problem("not-found", `There is no payment ${creditKeyText(key)}.`);
        return { body: presentPayment(payment) };
      },
    }),
    read({
      path: "/v1/checkout/sessions/:id/credits",
      access: "merchant",
      operationId: "listSessionCredits",
      summary: "Every credit that named a session: its payment, and its exceptions",
      description: `The newest ${CREDITS_OF_A_SESSION} exceptions; the list of exceptions has all of them.`,
      tag: "Checkout sessions",
      params: OneSession,
      answer: z.object({ payments: z.array(Payment), exceptions: z.array(Exception) }),
      read: async (call, manager) => {
        const { merchantId } = merchantOf(call);
        const sessionId = call.params.id;
        if ((await readSession(manager, sessionId, merchantId)) === null) throw noSession(sessionId);
        const [payments, exceptions] = [
          await listPayments(manager, merchantId, { sessionId }, null, 1),
          await listExceptions(manager, merchantId, { sessionId }, null, CREDITS_OF_A_SESSION),
        ];
        return {
          body: { payments: payments.map(presentPayment), exceptions: exceptions.map(presentException) },
        };
      },
    }),
  ];
}
