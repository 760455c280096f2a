import type { EntityManager } from "typeorm";
import { z } from "zod";
import { giveVerdict, VerdictRefusedError } from "../../settlement/give-verdict.js";
import { listExceptions, readException } from "../../settlement/read-exceptions.js";
import { listPayments } from "../../settlement/read-payments.js";
import { readSession } from "../../settlement/read-sessions.js";
import { type CreditKey, creditKeyText, parseCreditKey } from "../../stellar/credit.js";
import { decodeCursor, pageOf, toPage } from "../server/paging.js";
import { Problem, type ProblemKind } from "../server/problem.js";
import { merchantOf, type Route, read, write } from "../server/route.js";
import { noSession, OneSession } from "../sessions/sessions.js";
import {
  Exception,
  ExceptionList,
  exceptionFilter,
  OneCredit,
  Payment,
  PaymentList,
  paymentFilter,
  presentException,
  presentPayment,
  VerdictRequest,
} from "./credit.js";

const TAG = "Exceptions";

const KINDS: Readonly<Record<VerdictRefusedError["kind"], ProblemKind>> = {
  unknown: "not-found",
  decided: "conflict",
  refused: "verdict-refused",
};

/** The inbox: money that settled nothing, and what people decided about it. */
export function exceptionRoutes(): Route[] {
  return [
    read({
      path: "/v1/exceptions",
      access: "merchant",
      operationId: "listExceptions",
      mayLag: true,
      summary: "List and search exceptions, the network's newest first",
      description: "`open=true` is the inbox. An exception stays readable after its verdict.",
      tag: TAG,
      query: ExceptionList,
      answer: pageOf(Exception),
      read: async (call, manager) => {
        const { merchantId } = merchantOf(call);
        const { limit } = call.query;
        const filter = exceptionFilter(call.query);
        const found = await listExceptions(manager, merchantId, filter, positionOf(call.query), limit + 1);
        return { body: toPage(found, limit, creditKeyText, presentException) };
      },
    }),
    read({
      path: "/v1/exceptions/:key",
      access: "merchant",
      operationId: "getException",
      summary: "Get an exception",
      tag: TAG,
      params: OneCredit,
      answer: Exception,
      read: async (call, manager) => ({
        body: await presented(manager, merchantOf(call).merchantId, call.params.key),
      }),
    }),
    write({
      method: "POST",
      path: "/v1/exceptions/:key/verdict",
      access: "merchant",
      operationId: "decideException",
      summary: "Decide about an exception: accept, refund or dismiss, with a reason",
      description:
        "One verdict per exception, for ever. The same one again is answered as the first; another one is a conflict.",
      tag: TAG,
      idempotency: "optional",
      params: OneCredit,
      body: VerdictRequest,
      answer: Exception,
      write: async (call, runner) => {
        const { merchantId, keyPrefix } = merchantOf(call);
        const { key } = call.params;
        try {
          await giveVerdict(runner, { key, ...call.body, decidedBy: keyPrefix, merchantId });
        } catch (error) {
          if (!(error instanceof VerdictRefusedError)) throw error;
          throw new Problem(KINDS[error.kind], error.message);
        }
        return { body: await presented(runner.manager, merchantId, key) };
      },
    }),
  ];
}

async function presented(
  manager: EntityManager,
  merchantId: string,
  key: CreditKey,
): Promise<z.output<typeof Exception>> {
  const exception = await readException(manager, merchantId, key);
  if (exception === null) throw new Problem("not-found", `There is no exception ${creditKeyText(key)}.`);
  return presentException(exception);
}

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
        const { merchantId } = merchantOf(call);
        const { limit } = call.query;
        const filter = paymentFilter(call.query);
        const found = await listPayments(manager, merchantId, filter, positionOf(call.query), limit + 1);
        return { body: toPage(found, limit, creditKeyText, presentPayment) };
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

/** The credit that a page begins behind; null of the first page. */
function positionOf({ cursor }: { readonly cursor?: string | undefined }): CreditKey | null {
  const position = decodeCursor(cursor, (text) => parseCreditKey(text) !== null);
  return position === null ? null : parseCreditKey(position);
}
