import type { DataSource, QueryRunner } from "typeorm";
import { z } from "zod";
import type { SessionId } from "../../entities/checkout-session.js";
import type { HorizonClient } from "../../horizon/client.js";
import { HorizonError } from "../../horizon/errors.js";
import { readSession, type SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { checkAppliesNow } from "../../submission/check-applies.js";
import { checkSession } from "../../submission/check-payment.js";
import { type HandedIn, handIn } from "../../submission/hand-in.js";
import { EnvelopeError, type ReadEnvelope, readEnvelope } from "../../submission/read-envelope.js";
import { BODY_LIMIT_BYTES } from "../server/body.js";
import { Problem, sentence } from "../server/problem.js";
import { type Answer, type Route, write } from "../server/route.js";
import { HandedInSession, presentPublicSession, type Surroundings } from "./session.js";
import { noSession, OneSession } from "./sessions.js";

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

/** What both doors for signed transactions need. */
export type HandInSources = Surroundings & {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
};

const KEPT = `SELECT FROM submissions WHERE hash = $1 AND envelope = $2`;

/** All questions to Horizon together. The wallet waits, and can ask again. */
const ASK_WITHIN_MS = 6_000;

const RETRY_SECONDS = 5;

/**
 * Reads what a wallet has signed for a session, and asks the network whether it could apply now. Each step costs more than
 * the one before, and the endpoint is public: so whoever names no session, signed nothing or would not pay the session
 * learns that first. What is kept already is not asked about again.
 * @throws Problem `not-found`, `transaction-refused`; `unavailable` where the network could not be asked: then nothing is
 *   kept, as what nobody has checked could hold the session for its time
 */
export async function readSigned(sources: HandInSources, id: string, text: string): Promise<ReadEnvelope> {
  const { dataSource, networkPassphrase } = sources;
  const session = await readSession(dataSource.manager, id);
  if (session === null) throw noSession(id);
  try {
    const envelope = readEnvelope(text, networkPassphrase);
    const isOpen = session.status === "pending" || session.status === "processing";
    if (isOpen && !(await isKept(dataSource, envelope))) {
      checkSession(envelope, session, new Date());
      await askNetwork(sources, envelope, session);
    }
    return envelope;
  } catch (error) {
    return asProblem(error);
  }
}

async function isKept(dataSource: DataSource, { hash, envelope }: ReadEnvelope): Promise<boolean> {
  const found: unknown[] = await dataSource.query(KEPT, [hash, envelope]);
  return found.length > 0;
}

async function askNetwork(
  { horizon, networkPassphrase: passphrase }: HandInSources,
  envelope: ReadEnvelope,
  { account }: SessionWithAnomaly,
): Promise<void> {
  const signal = AbortSignal.timeout(ASK_WITHIN_MS);
  try {
    await checkAppliesNow({ horizon, passphrase }, envelope, account, signal);
  } catch (error) {
    if (!(error instanceof HorizonError) && !signal.aborted) throw error;
    throw new Problem(
      "unavailable",
      "The network can't be asked whether this transaction could apply: nothing was kept or sent. Hand it in again in a moment.",
      { headers: { "Retry-After": String(RETRY_SECONDS) } },
    );
  }
}

/**
 * Takes a signed transaction for a session, inside a serializable transaction, and answers as both doors do: the
 * wallet's (SEP-7) and the API's. The same transaction again gets the same answer, whatever has become of the session
 * by it.
 * @throws Problem `transaction-refused`, `conflict`, `not-found`
 */
export async function takeTransaction(
  runner: QueryRunner,
  id: string,
  envelope: ReadEnvelope,
  around: Surroundings,
): Promise<Answer<z.output<typeof HandedInSession>>> {
  const here = { now: new Date(), passphrase: around.networkPassphrase };
  const handedIn = await handIn(runner, id as SessionId, envelope, here).catch(asProblem);
  switch (handedIn.kind) {
    case "in_flight":
    case "paid":
      return { body: { ...presentPublicSession(handedIn.session, around), transaction_hash: envelope.hash } };
    case "no_such_session":
      throw noSession(id);
    default:
      throw new Problem("conflict", `${wordsFor(handedIn)} This transaction was not sent.`);
  }
}

type Conflict = Extract<HandedIn, { kind: "not_open" | "no_room" | "used" | "applied" }>;

function wordsFor(conflict: Conflict): string {
  switch (conflict.kind) {
    case "applied":
      return "The transaction is on the network already, and what it brought was counted for something else.";
    case "used":
      return conflict.forThisSession
        ? "The transaction was handed in for this session before, and did not pay it: sign a new one."
        : "The transaction was handed in for something else before: sign one for this session.";
    case "no_room":
      return NO_ROOM[conflict.why];
    case "not_open":
      return NOT_OPEN[conflict.status];
  }
}

const NO_ROOM: Readonly<Record<Extract<Conflict, { kind: "no_room" }>["why"], string>> = {
  same_account:
    "Another transaction of the same account is on its way for this session: both could apply, and both would pay.",
  too_many: "Many transactions are on their way for this session: hand this one in again in a few seconds.",
};

const NOT_OPEN: Readonly<Record<Extract<Conflict, { kind: "not_open" }>["status"], string>> = {
  paid: "The session is already paid, by another transaction.",
  expired: "The session has expired.",
  cancelled: "The session was cancelled.",
};

function asProblem(error: unknown): never {
  if (!(error instanceof EnvelopeError)) throw error;
  const { code, message } = error;
  throw new Problem("transaction-refused", sentence(message), { members: { code } });
}
