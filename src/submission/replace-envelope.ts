import type { QueryRunner } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { isBetterSigned } from "./better-signed.js";
import { incomingOf } from "./incoming.js";
import { type ReadEnvelope, readEnvelope } from "./read-envelope.js";

const KEPT = `SELECT envelope, account, last_answer FROM submissions WHERE hash = $1 AND ended_at IS NULL FOR NO KEY UPDATE`;

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
export async function replaceEnvelope(
  runner: QueryRunner,
  envelope: ReadEnvelope,
  passphrase: string,
): Promise<void> {
  const [kept]: { envelope: string; account: AccountId; last_answer: string | null }[] = await runner.query(
    KEPT,
    [envelope.hash],
  );
  if (kept === undefined || kept.envelope === envelope.envelope) return;
  const before = readEnvelope(kept.envelope, passphrase);
  const isWorse = envelope.ownSigners < before.ownSigners;
  if (!isBetterSigned(envelope, before) && (kept.last_answer === null || isWorse)) return;
  // One hash covers all but the signatures and the bump: only who pays its fee can be new.
  incomingOf(envelope, kept.account);
  await runner.query(REPLACE, [envelope.hash, envelope.envelope, envelope.outerHash]);
}
