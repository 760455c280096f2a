import type { EntityManager } from "typeorm";
import type { z } from "zod";
import { giveVerdict, VerdictRefusedError } from "../../settlement/give-verdict.js";
import { listExceptions, readException } from "../../settlement/read-exceptions.js";
import { CREDIT_KEY_FORM, type CreditKey, creditKeyText, parseCreditKey } from "../../stellar/credit.js";
import { decodeCursor, pageOf, toPage } from "../server/paging.js";
import { Problem, type ProblemKind } from "../server/problem.js";
import { merchantOf, type Route, read, write } from "../server/route.js";
import { Exception, ExceptionList, OneCredit, VerdictRequest } from "./credit.js";
import { exceptionFilter, presentException } from "./present-credit.js";

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
        const { limit, cursor } = call.query;
        const before = decodeCursor(cursor, CREDIT_KEY_FORM);
        const exceptions = await listExceptions(
          manager,
          merchantOf(call).merchantId,
          exceptionFilter(call.query),
          before === null ? null : parseCreditKey(before),
          limit + 1,
        );
        return { body: toPage(exceptions, limit, creditKeyText, presentException) };
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
