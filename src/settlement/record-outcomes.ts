import type { QueryRunner } from "typeorm";
import { type Event, exceptionRaised, paymentConfirmed } from "../outbox/events.js";
import { ofSession } from "../outbox/record-event.js";
import { runPrepared, textArray } from "../postgres/strict-client.js";
import type { Credit, Movement } from "../stellar/credit.js";
import type { TraceParent } from "../tracing.js";
import type { Outcome } from "./decide.js";
import { endPaidCharges } from "./end-paid-charges.js";

export type DecidedMovement = { readonly movement: Movement; readonly outcome: Outcome };

/**
 * Everything that a batch makes true, in one statement: one round trip, whatever the batch's size.
 *
 * `recorded` is the claim. A credit that is already there is not returned, and everything below it is joined
 * to what was: a redelivered credit changes nothing at all, whatever was decided about it this time.
 */
const RECORD = {
  name: "record_outcomes",
  text: `
  WITH decided AS (
    SELECT * FROM unnest(
      $1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
      $9::text[], $10::text[], $11::timestamptz[], $12::text[],
      $13::uuid[], $14::bigint[], $15::text[], $16::text[], $17::uuid[], $18::text[], $19::text[], $20::text[], $21::text[],
      $22::text[], $23::uuid[]
    ) AS d (
      operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount,
      muxed_key, memo_key, closed_at, record,
      session_id, surplus, reason, detail, event_id, event_type, event_subject, event_body, trace_parent,
      inner_hash, charge_id
    )
  ), recorded AS (
    INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount,
                         muxed_key, memo_key, closed_at, record, inner_hash)
    SELECT operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount,
           muxed_key, memo_key, closed_at, record, inner_hash
    FROM decided
    ORDER BY operation_id, move_index
    ON CONFLICT ON CONSTRAINT credits_accounted_once DO NOTHING
    RETURNING operation_id, move_index
  ), fresh AS (
    SELECT decided.* FROM decided JOIN recorded USING (operation_id, move_index)
  ), paid AS (
    INSERT INTO payments (operation_id, move_index, session_id, charge_id, surplus)
    SELECT operation_id, move_index, session_id, charge_id, surplus FROM fresh WHERE outcome = 'payment'
  ), raised AS (
    INSERT INTO payment_exceptions (operation_id, move_index, reason, session_id, detail)
    SELECT operation_id, move_index, reason, session_id, detail FROM fresh WHERE outcome = 'exception'
  ), settled AS (
    UPDATE checkout_sessions s
    SET status = 'paid', paid_at = fresh.closed_at, processing_since = NULL, submitted_max_time = NULL, has_payment = true
    FROM fresh WHERE fresh.outcome = 'payment' AND s.id = fresh.session_id
  ), told AS (
    -- An account can be watched before it is anybody's: then there is nobody to tell.
    INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body, trace_parent)
    SELECT event_id, event_type, coalesce(s.merchant_id, a.merchant_id), event_subject, session_id,
           ${ofSession("event_body", "s")}, trace_parent
    FROM fresh
    LEFT JOIN checkout_sessions s ON s.id = fresh.session_id
    LEFT JOIN receiving_accounts a ON a.account = fresh.account
    WHERE event_id IS NOT NULL AND coalesce(s.merchant_id, a.merchant_id) IS NOT NULL
    -- Merchants hear of a session's credits in the network's order.
    ORDER BY fresh.operation_id, fresh.move_index
    ON CONFLICT ON CONSTRAINT outbox_one_of_a_type_per_subject DO NOTHING
  )
  SELECT operation_id::text || '-' || move_index::text AS key FROM recorded`,
};

/**
 * Writes credits with what was decided about them: payments, exceptions, sessions, outbox events, and the ends of the
 * charges that they pay.
 * @param batch no credit twice
 * @param traceOf the trace that brought a movement, which its event's webhooks go on in
 * @returns the keys (`<operation id>-<move index>`) that were not recorded before
 * @throws the database's error; by its constraint's name where one refused
 */
export async function recordOutcomes(
  runner: QueryRunner,
  batch: readonly DecidedMovement[],
  traceOf: (movement: Movement) => TraceParent | null,
): Promise<Set<string>> {
  const values = columns(batch.map((decided) => toRow(decided, traceOf(decided.movement))));
  const rows = await runPrepared<{ key: string }>(runner.manager, RECORD, values);
  const fresh = new Set(rows.map((row) => row.key));
  await endPaidCharges(runner, batch, fresh);
  return fresh;
}

type Row = readonly (string | number | null)[];

function toRow({ movement, outcome }: DecidedMovement, trace: TraceParent | null): Row {
  const credit = movement.kind === "credit" ? movement : null;
  const surplus = surplusOf(outcome);
  const fails = outcome.kind === "exception" ? outcome : null;
  const event = credit && eventFor(credit, outcome);
  return [
    movement.operationId.toString(),
    movement.moveIndex,
    outcome.kind === "charge_payment" ? "payment" : outcome.kind,
    movement.account,
    movement.transactionHash,
    credit?.from ?? null,
    credit?.asset ?? null,
    credit?.amount.toString() ?? null,
    credit?.muxed ?? null,
    credit?.memo ?? null,
    credit?.closedAt.toISOString() ?? null,
    movement.record,
    outcome.kind === "charge_payment" ? null : outcome.sessionId,
    surplus?.toString() ?? null,
    fails?.reason ?? null,
    fails?.detail ?? null,
    event?.id ?? null,
    event?.type ?? null,
    event?.subject ?? null,
    event?.body ?? null,
    trace,
    credit?.innerHash ?? null,
    outcome.kind === "charge_payment" ? outcome.chargeId : null,
  ];
}

function surplusOf(outcome: Outcome): bigint | null {
  if (outcome.kind === "exception") return null;
  return outcome.kind === "payment" ? outcome.surplus : 0n;
}

/** What could not be read is news for the operator, not for the merchant. A charge tells of its own end. */
function eventFor(credit: Credit, outcome: Outcome): Event | null {
  switch (outcome.kind) {
    case "payment":
      return paymentConfirmed(credit, outcome.sessionId, outcome.surplus);
    case "charge_payment":
      return null;
    case "exception":
      return exceptionRaised(credit, outcome);
  }
}

/** Of `RECORD`, from 0, in the order of `toRow`: the columns of text, which carry nearly all of the bytes. */
const TEXT_COLUMNS = new Set([2, 3, 4, 5, 6, 8, 9, 11, 14, 15, 17, 18, 19, 20, 21]);

/** Turns rows into the column arrays that `unnest` takes. */
function columns(rows: readonly Row[]): (Buffer | (string | number | null)[])[] {
  return (rows[0] ?? []).map((_, column) => {
    const values = rows.map((row) => row[column] ?? null);
    return TEXT_COLUMNS.has(column) ? textArray(values as (string | null)[]) : values;
  });
}
