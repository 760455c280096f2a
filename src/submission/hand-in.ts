import type { QueryRunner } from "typeorm";
import type { SessionId, SessionStatus } from "../entities/checkout-session.js";
import { beginProcessing } from "../settlement/begin-processing.js";
import { readSession, type SessionWithAnomaly } from "../settlement/read-sessions.js";
import { checkSession } from "./check-session.js";
import { makeRoom, type Room } from "./make-room.js";
import type { ReadEnvelope } from "./read-envelope.js";
import { replaceEnvelope } from "./replace-envelope.js";
import { storeSubmission } from "./store-submission.js";

/** What became of a signed transaction that a wallet handed in for a session. */
export type HandedIn =
  /** It is on its way: since now, or since an earlier request. */
  | { readonly kind: "in_flight"; readonly session: SessionWithAnomaly }
  /** The session is paid, and by just this transaction. */
  | { readonly kind: "paid"; readonly session: SessionWithAnomaly }
  | { readonly kind: "no_such_session" }
  /** Another transaction has paid it; or it has ended. */
  | { readonly kind: "not_open"; readonly status: Exclude<SessionStatus, "pending" | "processing"> }
  /** Others are on their way for it, beside which this one can't be taken now. */
  | { readonly kind: "no_room"; readonly why: Exclude<Room, "free"> }
  /** The transaction was handed in before: for something else, or for this session without paying it. */
  | { readonly kind: "used"; readonly forThisSession: boolean }
  /** The transaction has applied already, and paid something else. */
  | { readonly kind: "applied" };

/** Settling, cancelling, expiring and handing in hold the same lock on the session: the second one sees what the first wrote. */
const LOCK = `SELECT FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE`;

/** By either hash: a fee bump goes by its own, and whoever bumps it anew changes that one. */
const HAS_PAID = `
  SELECT FROM session_payments p JOIN credits c USING (operation_id, move_index)
  WHERE p.session_id = $1 AND (c.transaction_hash = ANY ($2::text[]) OR c.inner_hash = ANY ($2::text[]))`;

/**
 * Takes a signed transaction for a session: envelope, hash and `processing` hold together, inside the caller's
 * serializable transaction, and nothing is sent before that is committed. The same transaction again gets the same
 * answer, and is kept as it was signed best. A different one is taken beside those that are in flight: nobody can know
 * which of them is the payer's own, and the first that applies pays.
 * @param around `passphrase` of the network that it was read for
 * @throws EnvelopeError where it would not pay the session; the database's error
 */
export async function handIn(
  runner: QueryRunner,
  id: SessionId,
  envelope: ReadEnvelope,
  around: { readonly now: Date; readonly passphrase: string },
): Promise<HandedIn> {
  await runner.query(LOCK, [id]);
  const session = await readSession(runner.manager, id);
  if (session === null) return { kind: "no_such_session" };
  const { hash, outerHash } = envelope;
  const { status } = session;
  if (status === "processing" && (await isInFlight(runner, session, hash))) {
    await replaceEnvelope(runner, envelope, around.passphrase);
    return { kind: "in_flight", session };
  }
  if (status === "paid") {
    const paid: unknown[] = await runner.query(HAS_PAID, [id, [hash, ...(outerHash ? [outerHash] : [])]]);
    if (paid.length > 0) return { kind: "paid", session };
  }
  if (status !== "pending" && status !== "processing") return { kind: "not_open", status };
  const transaction = checkSession(envelope, session, around.now);
  if (status === "processing") {
    const room = await makeRoom(runner, id, envelope.envelope, around.passphrase);
    if (room !== "free") return { kind: "no_room", why: room };
  }
  const stored = await storeSubmission(runner, transaction, { sessionId: id });
  if (stored.kind === "applied") return stored;
  if (stored.kind === "used") return { kind: "used", forThisSession: stored.sessionId === id };
  if (!(await beginProcessing(runner, id, transaction))) {
    throw new Error(`session ${id} is not open although it is locked`);
  }
  return { kind: "in_flight", session: { ...session, status: "processing", submittedHash: hash } };
}

const IN_FLIGHT = `SELECT FROM submissions WHERE hash = $1 AND session_id = $2 AND ended_at IS NULL`;

async function isInFlight(
  runner: QueryRunner,
  { id, submittedHash }: SessionWithAnomaly,
  hash: ReadEnvelope["hash"],
): Promise<boolean> {
  if (submittedHash === hash) return true;
  const found: unknown[] = await runner.query(IN_FLIGHT, [hash, id]);
  return found.length > 0;
}
