import { z } from "zod";
import type { ReadEnvelope } from "../../submission/read-envelope.js";
import { BODY_LIMIT_BYTES } from "../server/body.js";
import { type Route, write } from "../server/route.js";
import { HandedInSession } from "./schema.js";
import { OneSession } from "./sessions.js";
import { type HandInSources, readSigned, takeTransaction } from "./take-transaction.js";

/** Padded, and with no bit in the last digit that nothing is made of: one envelope has one text. */
const BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

const SignedTransaction = z.strictObject({
  transaction: z.string("base64 of a signed TransactionEnvelope").meta({
    override: { minLength: 4, maxLength: BODY_LIMIT_BYTES, pattern: BASE64 },
    description: "Base64 of the signed TransactionEnvelope, a fee bump too, with an upper time bound.",
  }),
});

/** Signed transactions for sessions, from a shop's own page or app. Wallets have `POST /pay/:id/transaction`. */
export function sessionTransactionRoutes(sources: HandInSources): Route[] {
  return [
    write({
      method: "POST",
      path: "/v1/checkout/sessions/:id/transaction",
      access: "public",
      operationId: "handInTransaction",
      summary: "Hand in the customer's signed transaction; needs no key",
      description:
        "Taken where it could apply now: its accounts exist, their signatures and funds suffice. We send it to the network until it has applied, or can't any more. One of another account is taken beside it: the first that applies pays. Safe to repeat without an Idempotency-Key: the same transaction gets the same answer, with the session as it is by then.",
      tag: "Checkout sessions",
      params: OneSession,
      body: SignedTransaction,
      answer: HandedInSession,
      status: 202,
      meaning:
        "Kept, and on its way to the network: the session is `processing`, or what has become of it since.",
      prepare: ({ params, body }) => readSigned(sources, params.id, body.transaction),
      write: ({ params }, runner, envelope) =>
        takeTransaction(runner, params.id, envelope as ReadEnvelope, sources),
    }),
  ];
}
