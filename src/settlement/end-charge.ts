import type { QueryRunner } from "typeorm";
import {
  type Charge,
  type ChargeId,
  type ChargeRow,
  chargeOf,
  type FailureCode,
} from "../entities/charge.js";
import { chargeFailed, chargeSucceeded } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";

/** The source of the outcome. */
export type Heard =
  /** The holder of this lease: what only it can know. */
  | { readonly lease: number }
  /** Somebody else, in words: it holds whoever has the charge now, and is noted as an attempt of kind `told`. */
  | { readonly from: string };

/** How a charge ends, by the word of its provider or of the network. */
export type ChargeEnding =
  | { readonly kind: "succeeded"; readonly providerId: string }
  | { readonly kind: "failed"; readonly code: FailureCode; readonly detail: string };

export type Ended =
  /** By this call. */
  | "ended"
  /** The same way, by an earlier one. */
  | "already"
  /** The lease is another's by now: nothing was written. */
  | "not_ours"
  /**
   * It has ended another way, or the books say otherwise: somebody was wrong, and a person must know. Nothing was
   * written; an open charge stays open.
   */
  | "contradiction"
  | "no_such_charge";

const LOCK = `SELECT * FROM charges WHERE id = $1 FOR NO KEY UPDATE`;

/** Money that came before anything was sent goes the same way as all other. */
const BEGIN = `UPDATE charges SET status = 'processing' WHERE id = $1 AND status = 'pending'`;

/** The next number: a lease that somebody believes to hold is over. */
const TOLD = `
  WITH counted AS (UPDATE charges SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts)
  INSERT INTO charge_attempts (charge_id, attempt, kind, ended_at, outcome, detail)
  SELECT $1, attempts, 'told', now(), $2, $3 FROM counted`;

/** As an attempt's outcome says it. */
const SAID = { succeeded: "succeeded", failed: "declined" } as const satisfies Record<
  ChargeEnding["kind"],
  string
>;

const SUCCEED = `
  UPDATE charges SET status = 'succeeded', provider_id = coalesce(provider_id, $2), leased_since = NULL, ended_at = now()
  WHERE id = $1`;

const FAIL = `
  UPDATE charges SET status = 'failed', failure_code = $2, failure_detail = $3, leased_since = NULL, ended_at = now()
  WHERE id = $1`;

/** By the hash that was handed in, or by a fee bump's. Each through an index of its own. */
const IN_THE_BOOKS = `
  SELECT FROM submissions s
  WHERE s.charge_id = $1
    AND (EXISTS (SELECT FROM credits c WHERE c.transaction_hash IN (s.hash, s.outer_hash) AND c.account = s.account)
      OR EXISTS (SELECT FROM credits c WHERE c.inner_hash = s.hash AND c.account = s.account))`;

const PAYMENTS = `SELECT FROM payments WHERE charge_id = $1 LIMIT 1`;

/**
 * Ends a charge, with its event, inside a serializable transaction. Safe to repeat. What a provider says of success
 * counts whoever heard it; what only the holder of a lease can know needs that lease.
 * @param heard who says so
 * @throws the database's error
 */
export async function endCharge(
  runner: QueryRunner,
  id: ChargeId,
  ending: ChargeEnding,
  heard: Heard,
): Promise<Ended> {
  const charge = await lockCharge(runner, id);
  if (charge === null) return "no_such_charge";
  if (charge.status === ending.kind) return "already";
  if (["succeeded", "failed", "cancelled"].includes(charge.status)) return "contradiction";
  if ("lease" in heard && !isHeld(charge, heard.lease)) return "not_ours";
  if (charge.asset !== null && (await speaksAgainst(runner, id, ending))) return "contradiction";
  if ("from" in heard) await runner.query(TOLD, [id, SAID[ending.kind], heard.from]);
  await runner.query(BEGIN, [id]);
  if (ending.kind === "succeeded") {
    await runner.query(SUCCEED, [id, ending.providerId]);
    const providerId = charge.providerId ?? ending.providerId;
    await recordEvent(runner, { chargeId: id }, chargeSucceeded({ ...charge, providerId }));
  } else {
    await runner.query(FAIL, [id, ending.code, ending.detail]);
    await recordEvent(runner, { chargeId: id }, chargeFailed(charge, ending.code, ending.detail));
  }
  return "ended";
}

/**
 * On the network the books know better than any answer. Without the first line a server that lags, or that shows a
 * failed fee bump in the place of one that applied, would have called a charge failed whose money is here; without the
 * second one its credit, recorded as an exception by somebody, could be paid back after the charge has succeeded.
 */
async function speaksAgainst(runner: QueryRunner, id: ChargeId, ending: ChargeEnding): Promise<boolean> {
  const found: unknown[] = await runner.query(ending.kind === "failed" ? IN_THE_BOOKS : PAYMENTS, [id]);
  return ending.kind === "failed" ? found.length > 0 : found.length === 0;
}

/** Whether attempt `lease` still holds the charge. */
export function isHeld(charge: Pick<Charge, "attempts" | "leasedSince">, lease: number): boolean {
  return charge.attempts === lease && charge.leasedSince !== null;
}

/** Locks a charge until the transaction ends. */
export async function lockCharge(runner: QueryRunner, id: ChargeId): Promise<Charge | null> {
  const [row]: ChargeRow[] = await runner.query(LOCK, [id]);
  return row === undefined ? null : chargeOf(row);
}
