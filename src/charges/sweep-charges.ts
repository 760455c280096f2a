import type { DataSource, QueryRunner } from "typeorm";
import { allByHalves } from "../entities/by-halves.js";
import type { ChargeId, ChargeStatus } from "../entities/charge.js";
import { chargeUnknown } from "../outbox/charge-events.js";
import { tell } from "../outbox/tell.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { lockCharge } from "../settlement/end-charge.js";

/** Leases taken back in one transaction, at the most: locks stay short. */
const BATCH = 100;

/** Beside its calls an attempt only reads and writes rows. */
const SPARE_SECONDS = 10;

/** By the database's clock alone, and also where that was set back: a lease of the future would be nobody's for hours. */
const IS_STALE = `(leased_since <= now() - make_interval(secs => $1) OR leased_since > now() + interval '10 minutes')`;

/** From one id to the next: what can't be taken back does not stand in front of the others. */
const STALE = `SELECT id FROM charges WHERE ${IS_STALE} AND id > $2 ORDER BY id LIMIT ${BATCH}`;

/** SKIP LOCKED: what is being recorded right now is not dead. */
const LOCK_STALE = `
  SELECT id, attempts, status FROM charges WHERE ${IS_STALE} AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`;

const TAKE_BACK = `
  UPDATE charges SET status = 'unknown', unknown_since = coalesce(unknown_since, now()), leased_since = NULL,
    next_attempt_at = now()
  WHERE id = ANY($1)`;

const LOST = `
  UPDATE charge_attempts a SET ended_at = now(), outcome = 'lost'
  FROM unnest($1::uuid[], $2::integer[]) AS stale (id, attempt)
  WHERE a.charge_id = stale.id AND a.attempt = stale.attempt AND a.outcome IS NULL`;

/**
 * Of charges that others have ended meanwhile: nobody holds them any more, and nobody writes how the attempt ended. By the
 * rows' places, since only what is free is taken.
 */
const LOST_OF_ENDED = `
  UPDATE charge_attempts SET ended_at = now(), outcome = 'lost'
  WHERE ended_at IS NULL AND ctid = ANY (ARRAY(
    SELECT a.ctid FROM charge_attempts a JOIN charges c ON c.id = a.charge_id
    WHERE a.ended_at IS NULL AND a.started_at <= now() - make_interval(secs => $1) AND c.ended_at IS NOT NULL
    LIMIT ${BATCH} FOR NO KEY UPDATE OF a SKIP LOCKED))`;

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
 * is asked at once. Safe to run twice, at once, and against workers. One that can't be taken back keeps no other from it.
 * @returns how many
 * @throws Error that tells how many could not be, once all were tried; the database's error when it can't serve
 */
export async function sweepCharges(dataSource: DataSource, staleSeconds: number): Promise<number> {
  const sweep = (ids: readonly ChargeId[]) =>
    inSerializableTransaction(dataSource, (runner) => sweepBatch(runner, staleSeconds, ids));
  try {
    return await allByHalves<ChargeId>(
      (after) => dataSource.query(STALE, [staleSeconds, after]),
      BATCH,
      sweep,
      "charges of dead workers could not be taken back",
    );
  } finally {
    await dataSource.query(LOST_OF_ENDED, [staleSeconds]);
  }
}

async function sweepBatch(
  runner: QueryRunner,
  staleSeconds: number,
  among: readonly ChargeId[],
): Promise<number> {
  const stale: Stale[] = await runner.query(LOCK_STALE, [staleSeconds, among]);
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
