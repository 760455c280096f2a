import type { QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { TransactionHash } from "../stellar/credit.js";
import { sequenceOf } from "./sequence-of.js";

/** Transactions of one session that are followed at the same time: each costs Horizon's rate limit. */
const MOST_IN_FLIGHT = 8;

const OPEN = `
  SELECT hash, envelope, last_answer FROM submissions
  WHERE session_id = $1 AND ended_at IS NULL
  ORDER BY created_at, hash`;

const END = `UPDATE submissions SET ended_at = now(), leased_since = NULL WHERE hash = $1`;

type Open = { hash: TransactionHash; envelope: string; last_answer: string | null };

/** Whether one more transaction can be taken for a session that has some in flight. */
export type Room =
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
export async function makeRoom(
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
