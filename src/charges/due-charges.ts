import type { DataSource, QueryRunner } from "typeorm";
import type { ChargeId, ChargeStatus } from "../entities/charge.js";
import { chargeUnknown } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import { allByHalves } from "../postgres/by-halves.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { runPrepared } from "../postgres/strict-client.js";
import { lockCharge } from "../settlement/end-charge.js";
import type { TraceParent } from "../tracing.js";

/** Charges of one merchant that are worked on at once, at the most: a thousand that are due delay nobody else's. */
export const AT_ONCE = 64;

/** Just as the index `charges_due` has it. */
const OPEN = `status IN ('pending', 'processing', 'unknown') AND leased_since IS NULL`;

/**
 * Per merchant, the first charges that could be claimed now, less what is leased. Merchants are found by skipping from
 * one to the next in the index: its size follows the open work, while the table of merchants only grows.
 */
const DUE = `
  WITH RECURSIVE waiting AS (
    (SELECT merchant_id FROM charges WHERE ${OPEN} AND ($2::uuid IS NULL OR merchant_id = $2)
     ORDER BY merchant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.merchant_id FROM charges c WHERE ${OPEN} AND c.merchant_id > w.merchant_id
            ORDER BY c.merchant_id LIMIT 1)
    FROM waiting w WHERE w.merchant_id IS NOT NULL AND $2::uuid IS NULL
  ), leased AS (
    SELECT merchant_id, count(*) AS count FROM charges WHERE leased_since IS NOT NULL GROUP BY merchant_id
  )
  SELECT due.id, w.merchant_id AS "merchantId", due.provider, due.attempts,
    (SELECT trace_parent FROM outbox_events o WHERE o.type = 'charge.created' AND o.subject = due.id::text) AS trace
  FROM waiting w
  LEFT JOIN leased ON leased.merchant_id = w.merchant_id
  CROSS JOIN LATERAL (
    SELECT id, provider, attempts, row_number() OVER (ORDER BY next_attempt_at, id) AS place FROM (
      SELECT c.id, c.provider, c.attempts, c.next_attempt_at FROM charges c
      WHERE c.merchant_id = w.merchant_id AND ${OPEN} AND c.next_attempt_at <= now() AND c.provider = ANY($1)
      ORDER BY c.next_attempt_at, c.id LIMIT ${AT_ONCE}
    ) AS first
  ) AS due
  WHERE due.place <= ${AT_ONCE} - coalesce(leased.count, 0)
  ORDER BY due.place`;

/** A charge that is due. */
export type DueCharge = {
  readonly id: ChargeId;
  readonly merchantId: string;
  readonly provider: string;
  /** Those before: a job of an earlier attempt must not stand for the next one. */
  readonly attempts: number;
  /** The trace that it was accepted in, to go on in. */
  readonly trace: TraceParent | null;
};

/**
 * Finds what is to be charged or asked for now: a few charges of each merchant.
 * @param providers those that can be called now, by name: the rest is left where it is
 * @param merchantId that one's alone; every merchant's by default
 */
export async function findDueCharges(
  dataSource: DataSource,
  providers: readonly string[],
  merchantId: string | null = null,
): Promise<DueCharge[]> {
  if (providers.length === 0) return [];
  // Planned for a merchant each time: a plan for any of them would walk through all the others.
  if (merchantId !== null) return dataSource.query(DUE, [providers, merchantId]);
  return runPrepared(dataSource.manager, { name: "find_due_charges", text: DUE }, [providers, null]);
}

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
    if (charge !== null) await recordEvent(runner, { chargeId: id }, chargeUnknown(charge));
  }
  return stale.length;
}
