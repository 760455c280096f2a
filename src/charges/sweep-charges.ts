import type { DataSource, QueryRunner } from "typeorm";
import type { ChargeId, ChargeStatus } from "../entities/charge.js";
import { inSerializableTransaction } from "../entities/serializable.js";
import { chargeUnknown } from "../settlement/charge-events.js";
import { lockCharge } from "../settlement/end-charge.js";
import { tell } from "../settlement/tell.js";

/** Leases taken back in one transaction, at the most: locks stay short. */
const BATCH = 100;

/** Beside its calls an attempt only reads and writes rows. */
const SPARE_SECONDS = 10;

/**
 * By the database's clock alone, and also where that was set back: a lease of the future would be nobody's for hours.
 * SKIP LOCKED: what is being recorded right now is not dead.
 */
const STALE = `
  SELECT id, attempts, status FROM charges
  WHERE leased_since <= now() - make_interval(secs => $1) OR leased_since > now() + interval '10 minutes'
  ORDER BY leased_since LIMIT ${BATCH}
  FOR NO KEY UPDATE SKIP LOCKED`;

const TAKE_BACK = `
  UPDATE charges SET status = 'unknown', unknown_since = coalesce(unknown_since, now()), leased_since = NULL,
    next_attempt_at = now()
  WHERE id = ANY($1)`;

const LOST = `
  UPDATE charge_attempts a SET ended_at = now(), outcome = 'lost'
  FROM unnest($1::uuid[], $2::integer[]) AS stale (id, attempt)
  WHERE a.charge_id = stale.id AND a.attempt = stale.attempt AND a.outcome IS NULL`;

/** Of charges that others have ended meanwhile: nobody holds them any more, and nobody writes how the attempt ended. */
const LOST_OF_ENDED = `
  UPDATE charge_attempts a SET ended_at = now(), outcome = 'lost'
  FROM charges c
  WHERE a.ended_at IS NULL AND a.started_at <= now() - make_interval(secs => $1)
    AND c.id = a.charge_id AND c.ended_at IS NOT NULL`;

type Stale = { readonly id: ChargeId; readonly attempts: number; readonly status: ChargeStatus };

/**
 * After how many seconds a lease is nobody's any more: an attempt makes three calls at the most, each with a deadline.
 * One that comes back later, from a process that was paused, writes nothing.
 */
export function staleAfterSeconds(timeoutMs: number): number {
  return (3 * timeoutMs) / 1_000 + SPARE_SECONDS;
}

/**
 * Takes back the leases of dead workers. Their charges are `unknown`, since the provider may have been called, and it
 * is asked at once. Safe to run twice, at once, and against workers.
 * @returns how many
 */
export async function sweepCharges(dataSource: DataSource, staleSeconds: number): Promise<number> {
  let swept = 0;
  for (;;) {
    const count = await inSerializableTransaction(dataSource, (runner) => sweepBatch(runner, staleSeconds));
    swept += count;
    if (count === BATCH) continue;
    await dataSource.query(LOST_OF_ENDED, [staleSeconds]);
    return swept;
  }
}

async function sweepBatch(runner: QueryRunner, staleSeconds: number): Promise<number> {
  const stale: Stale[] = await runner.query(STALE, [staleSeconds]);
  if (stale.length === 0) return 0;
  const ids = stale.map(({ id }) => id);
  await runner.query(TAKE_BACK, [ids]);
  await runner.query(LOST, [ids, stale.map(({ attempts }) => attempts)]);
  for (const { id, status } of stale) {
    if (status !== "processing") continue;
    const charge = await lockCharge(runner, id);
    if (charge !== null) await tell(runner, { chargeId: id }, chargeUnknown(charge));
  }
  return stale.length;
}
