import type { DataSource, QueryRunner } from "typeorm";
import type { z } from "zod";
import type { SessionId } from "../entities/checkout-session.js";
import { EnvelopeError } from "../submission/envelope-error.js";
import { type HandedIn, handIn } from "../submission/hand-in.js";
import { type ReadEnvelope, readEnvelope } from "../submission/read-envelope.js";
import { presentPublicSession, type Surroundings } from "./present-session.js";
import { Problem } from "./problem.js";
import type { Answer } from "./route.js";
import type { HandedInSession } from "./schemas/session.js";

const EXISTS = `SELECT FROM checkout_sessions WHERE id = $1`;

/**
 * Reads what a wallet has signed for a session. Anybody may knock here, and signatures cost this thread more than a
 * look at an index does: whoever names no session learns so first.
 * @throws Problem `not-found`, `transaction-refused`
 */
export async function readSigned(
  { dataSource, networkPassphrase }: Surroundings & { readonly dataSource: DataSource },
  id: string,
  text: string,
): Promise<ReadEnvelope> {
  const found: unknown[] = await dataSource.query(EXISTS, [id]);
  if (found.length === 0) throw noSession(id);
  try {
    return readEnvelope(text, networkPassphrase);
  } catch (error) {
    return asProblem(error);
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

type Conflict = Extract<HandedIn, { kind: "not_open" | "used" | "applied" }>;

function wordsFor(conflict: Conflict): string {
  switch (conflict.kind) {
    case "applied":
      return "The transaction is on the network already, and what it brought was counted for something else.";
    case "used":
      return conflict.forThisSession
        ? "The transaction was handed in for this session before, and did not pay it: sign a new one."
        : "The transaction was handed in for something else before: sign one for this session.";
    case "not_open":
      return NOT_OPEN[conflict.status];
  }
}

const NOT_OPEN: Readonly<Record<Extract<Conflict, { kind: "not_open" }>["status"], string>> = {
  processing: "Another transaction for this session is on its way.",
  paid: "The session is already paid, by another transaction.",
  expired: "The session has expired.",
  cancelled: "The session was cancelled.",
};

function noSession(id: string): Problem {
  return new Problem("not-found", `There is no session ${id}.`);
}

function asProblem(error: unknown): never {
  if (!(error instanceof EnvelopeError)) throw error;
  const { code, message } = error;
  const detail = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  throw new Problem("transaction-refused", detail, { members: { code } });
}
