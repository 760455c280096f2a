import type { QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { SignedTransaction } from "./signed-transaction.js";

/** What a transaction was handed in for. */
export type Purpose = { readonly chargeId: ChargeId } | { readonly sessionId: SessionId };

/** Why a transaction can't be kept. */
export type Stored =
  | { readonly kind: "stored" }
  /** It was handed in before, for this or something else. */
  | {
      readonly kind: "used";
      readonly chargeId: ChargeId | null;
      readonly sessionId: SessionId | null;
    }
  /**
   * It has applied already, and what it brought is in the books. For a charge it is kept all the same: whoever accepts
   * the charge makes its payments of that, or rolls all of it back.
   */
  | { readonly kind: "applied" };

const APPLIED = `
  SELECT FROM credits WHERE transaction_hash = ANY ($1::text[]) OR inner_hash = ANY ($1::text[]) LIMIT 1`;

const STORE = `
  INSERT INTO submissions (hash, outer_hash, envelope, account, max_time, charge_id, session_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT ON CONSTRAINT submissions_used_once DO NOTHING
  RETURNING hash`;

/**
 * For the transaction around `storeSubmission`, where it keeps losing (`holdBackOthers`): no batch is settled meanwhile.
 * See holdBackAcceptance in settle.ts, its other side.
 */
export async function holdBackSettlement(runner: QueryRunner): Promise<void> {
  // A transaction that waits for this lock makes all others wait behind it: keep it short while a backup reads the table.
  await runner.query("SET LOCAL lock_timeout = '300ms'");
  await runner.query("LOCK TABLE submissions IN ACCESS EXCLUSIVE MODE");
  await runner.query("SET LOCAL lock_timeout = 0");
}

/** A session that goes on waiting must not own what will never pay it. */
const TAKE_BACK = `DELETE FROM submissions WHERE hash = $1`;

const USED_FOR = `SELECT charge_id, session_id FROM submissions WHERE hash = $1`;

/**
 * Keeps a signed transaction, inside the serializable transaction that accepts it, best as the last thing there:
 * nothing may be sent before that is committed. A credit of it that is settled at the same moment conflicts with this
 * one: either the credit finds what it pays, or this finds the credit.
 * @throws the database's error
 */
export async function storeSubmission(
  runner: QueryRunner,
  transaction: Omit<SignedTransaction, "references">,
  purpose: Purpose,
): Promise<Stored> {
  const { hash, outerHash, envelope, account, maxTime } = transaction;
  const { chargeId, sessionId } = { chargeId: null, sessionId: null, ...purpose };
  const values = [hash, outerHash, envelope, account, maxTime.toISOString(), chargeId, sessionId];
  const stored: unknown[] = await runner.query(STORE, values);
  if (stored.length > 0) {
    // Last, to leave a batch that is settled as little time as can be to write where this has looked: Postgres knows by
    // index pages who looked where, and would undo one of the two for its neighbours' sake.
    const hashes = [hash, outerHash].filter((one) => one !== null);
    const applied: unknown[] = await runner.query(APPLIED, [hashes]);
    if (applied.length === 0) return { kind: "stored" };
    if (sessionId !== null) await runner.query(TAKE_BACK, [hash]);
    return { kind: "applied" };
  }
  const [used]: { charge_id: ChargeId | null; session_id: SessionId | null }[] = await runner.query(
    USED_FOR,
    [hash],
  );
  return { kind: "used", chargeId: used?.charge_id ?? null, sessionId: used?.session_id ?? null };
}
