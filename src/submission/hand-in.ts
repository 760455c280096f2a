import type { QueryRunner } from "typeorm";
import type { SessionId, SessionStatus } from "../entities/checkout-session.js";
import { beginProcessing } from "../settlement/end-session.js";
import { readSession, type SessionWithAnomaly } from "../settlement/read-sessions.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { checkSession, incomingOf } from "./check-payment.js";
import { type ReadEnvelope, readEnvelope, sequenceOf } from "./read-envelope.js";
import { storeSubmission } from "./submissions.js";

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

/** By either hash: a fee bump goes by its own, and another bump of it has another one. */
const HAS_PAID = `
  SELECT FROM session_payments p JOIN credits c USING (operation_id, move_index)
  WHERE p.session_id = $1 AND (c.transaction_hash = ANY ($2::text[]) OR c.inner_hash = ANY ($2::text[]))`;

/**
 * Takes a signed transaction for a session: envelope, hash and `processing` hold together, inside the caller's
 * serializable transaction, and nothing is sent before that is committed. The same transaction again gets the same
 * answer, and is stored as it was signed best. A different one is taken beside those that are in flight: nobody can know
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

/** Transactions of one session that are followed at the same time: each costs Horizon's rate limit. */
const MOST_IN_FLIGHT = 8;

const OPEN = `
  SELECT hash, envelope, last_answer FROM submissions
  WHERE session_id = $1 AND ended_at IS NULL
  ORDER BY created_at, hash`;

const END = `UPDATE submissions SET ended_at = now(), leased_since = NULL WHERE hash = $1`;

type Open = { hash: TransactionHash; envelope: string; last_answer: string | null };

/** Whether one more transaction can be taken for a session that has some in flight. */
type Room =
  | "free"
  /** Its account has another one on its way, which could apply beside it: both would pay. */
  | "same_account"
  /** As many are followed as may be, and the network has refused none of them. Some will be over in seconds. */
  | "too_many";

/**
 * Makes room for a transaction beside those that are in flight for its session, whose row is locked. A stranger's must not
 * keep the payer's out, so that only another one of the same account does, unless at most one of the two can apply or the
 * network has refused the earlier one. Where there are too many, the oldest that was refused is not followed any more.
 */
async function makeRoom(
  runner: QueryRunner,
  id: SessionId,
  envelope: string,
  passphrase: string,
): Promise<Room> {
  const open: Open[] = await runner.query(OPEN, [id]);
  const own = sequenceOf(envelope, passphrase);
  const isInTheWay = (other: Open) => {
    const { source, sequence } = sequenceOf(other.envelope, passphrase);
    return other.last_answer === null && source === own.source && sequence !== own.sequence;
  };
  if (open.some(isInTheWay)) return "same_account";
  if (open.length < MOST_IN_FLIGHT) return "free";
  const refused = open.find(({ last_answer }) => last_answer !== null);
  if (refused === undefined) return "too_many";
  await runner.query(END, [refused.hash]);
  return "free";
}

const STORED = `SELECT envelope, account, last_answer FROM submissions WHERE hash = $1 AND ended_at IS NULL FOR NO KEY UPDATE`;

/** The holder of the one before may go on with it; but only a new lease says when to look again. */
const REPLACE = `
  UPDATE submissions
  SET envelope = $2, outer_hash = $3, attempts = attempts + 1, leased_since = NULL, next_attempt_at = now(),
      last_answer = NULL
  WHERE hash = $1`;

/**
 * Puts an envelope in the place of a worse signed one of the same transaction, inside the caller's transaction: a wallet
 * of several signers hands in what each of them adds, and a bump pays the fee that the first one lacked. One that the
 * network has refused gives way to any that is signed as well: else a bump whose payer has no funds would keep an honest
 * one out. It is sent at once. Any other changes nothing, nor does any after the end.
 * @throws EnvelopeError where the account that it pays is to pay the bump's fee; the database's error
 */
async function replaceEnvelope(
  runner: QueryRunner,
  envelope: ReadEnvelope,
  passphrase: string,
): Promise<void> {
  const [stored]: { envelope: string; account: AccountId; last_answer: string | null }[] = await runner.query(
    STORED,
    [envelope.hash],
  );
  if (stored === undefined || stored.envelope === envelope.envelope) return;
  const before = readEnvelope(stored.envelope, passphrase);
  const isWorse = envelope.ownSigners < before.ownSigners;
  if (!isBetterSigned(envelope, before) && (stored.last_answer === null || isWorse)) return;
  // One hash covers all but the signatures and the bump: only who pays its fee can be new.
  incomingOf(envelope, stored.account);
  await runner.query(REPLACE, [envelope.hash, envelope.envelope, envelope.outerHash]);
}

/** What the signatures of an envelope are worth, as far as they can be verified here. */
type Signatures = Pick<ReadEnvelope, "ownSigners" | "isBumpVerified">;

/**
 * Whether one envelope of a transaction is worth more than the stored one: more of the accounts that it acts for
 * have signed it, or as many have and it is bumped by somebody who has signed for the fee. Pure.
 *
 * Equal is not better: a stranger who has seen a transaction can hand it in again with signatures of their own, and
 * must not put it in the place of what its payer handed in.
 */
function isBetterSigned(one: Signatures, stored: Signatures): boolean {
  if (one.ownSigners !== stored.ownSigners) return one.ownSigners > stored.ownSigners;
  return one.isBumpVerified && !stored.isBumpVerified;
}
