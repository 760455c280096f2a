import type { QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import { type Event, exceptionRaised, paymentConfirmed } from "../outbox/events.js";
import { ofSession } from "../outbox/record-event.js";
import { runPrepared, textArray } from "../postgres/strict-client.js";
import { type Credit, creditKeyText, type Movement, type TransactionHash } from "../stellar/credit.js";
import type { TraceParent } from "../tracing.js";
import type { Outcome } from "./decide.js";
import { endCharge } from "./end-charge.js";
import { handedInHash } from "./find-charges.js";

export type DecidedMovement = { readonly movement: Movement; readonly outcome: Outcome };

/** A movement with what was decided about it, as its row is made of it. */
type Decided = {
  readonly movement: Movement;
  readonly outcome: Outcome;
  /** Null of a movement that could not be read. */
  readonly credit: Credit | null;
  readonly event: Event | null;
  readonly trace: TraceParent | null;
};

/** The columns of `decided`: the type of each, and its value of a movement. */
const COLUMNS: Readonly<
  Record<string, readonly [type: string, read: (row: Decided) => string | number | null | undefined]>
> = {
  operation_id: ["bigint", ({ movement }) => movement.operationId.toString()],
  move_index: ["integer", ({ movement }) => movement.moveIndex],
  outcome: ["text", ({ outcome }) => (outcome.kind === "charge_payment" ? "payment" : outcome.kind)],
  account: ["text", ({ movement }) => movement.account],
  transaction_hash: ["text", ({ movement }) => movement.transactionHash],
  inner_hash: ["text", ({ credit }) => credit?.innerHash],
  sender: ["text", ({ credit }) => credit?.from],
  asset: ["text", ({ credit }) => credit?.asset],
  amount: ["bigint", ({ credit }) => credit?.amount.toString()],
  muxed_key: ["text", ({ credit }) => credit?.muxed],
  memo_key: ["text", ({ credit }) => credit?.memo],
  closed_at: ["timestamptz", ({ credit }) => credit?.closedAt.toISOString()],
  record: ["text", ({ movement }) => movement.record],
  session_id: ["uuid", ({ outcome }) => (outcome.kind === "charge_payment" ? null : outcome.sessionId)],
  charge_id: ["uuid", ({ outcome }) => (outcome.kind === "charge_payment" ? outcome.chargeId : null)],
  surplus: ["bigint", ({ outcome }) => surplusOf(outcome)],
  reason: ["text", ({ outcome }) => (outcome.kind === "exception" ? outcome.reason : null)],
  detail: ["text", ({ outcome }) => (outcome.kind === "exception" ? outcome.detail : null)],
  event_id: ["uuid", ({ event }) => event?.id],
  event_type: ["text", ({ event }) => event?.type],
  event_subject: ["text", ({ event }) => event?.subject],
  event_body: ["text", ({ event }) => event?.body],
  trace_parent: ["text", ({ trace }) => trace],
};

const PLACEHOLDERS = Object.values(COLUMNS).map(([type], i) => `$${i + 1}::${type}[]`);

const CREDIT_COLUMNS = `operation_id, move_index, outcome, account, transaction_hash, inner_hash, sender, asset, amount,
                         muxed_key, memo_key, closed_at, record`;

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
    SELECT * FROM unnest(${PLACEHOLDERS}) AS d (${Object.keys(COLUMNS)})
  ), recorded AS (
    INSERT INTO credits (${CREDIT_COLUMNS})
    SELECT ${CREDIT_COLUMNS}
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
  const values = valuesOf(
    batch.map(({ movement, outcome }) => {
      const credit = movement.kind === "credit" ? movement : null;
      const event = credit && eventFor(credit, outcome);
      return { movement, outcome, credit, event, trace: traceOf(movement) };
    }),
  );
  const rows = await runPrepared<{ key: string }>(runner.manager, RECORD, values);
  const fresh = new Set(rows.map((row) => row.key));
  await endPaidCharges(runner, batch, fresh);
  return fresh;
}

function surplusOf(outcome: Outcome): string | null {
  if (outcome.kind === "exception") return null;
  // Of a charge's transaction nothing is left over.
  return outcome.kind === "payment" ? outcome.surplus.toString() : "0";
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

/** The columns as arrays, which `unnest` takes. Text carries nearly all of the bytes, and goes in binary. */
function valuesOf(rows: readonly Decided[]): unknown[] {
  return Object.values(COLUMNS).map(([type, read]) => {
    const values = rows.map((row) => read(row) ?? null);
    return type === "text" ? textArray(values as (string | null)[]) : values;
  });
}

const FROM_THE_NETWORK = { from: "its credit on the network" };

/**
 * Ends every charge that credits of a batch pay, with its event, in the transaction that records them. Acceptance has
 * checked that the operations sum exactly to the amount, and a transaction applies whole: its first credit proves the
 * rest of it, which may come in a later batch.
 * @param fresh keys of what this transaction records: what was there before has ended its charge before
 * @throws Error where a charge has ended another way: it is locked, and was read open under that lock
 */
async function endPaidCharges(
  runner: QueryRunner,
  batch: readonly DecidedMovement[],
  fresh: ReadonlySet<string>,
): Promise<void> {
  const paid = new Map<ChargeId, TransactionHash>();
  for (const { movement, outcome } of batch) {
    if (outcome.kind !== "charge_payment" || movement.kind !== "credit") continue;
    if (fresh.has(creditKeyText(movement))) paid.set(outcome.chargeId, handedInHash(movement));
  }
  for (const [id, providerId] of [...paid].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ended = await endCharge(runner, id, { kind: "succeeded", providerId }, FROM_THE_NETWORK);
    if (ended !== "ended" && ended !== "already") {
      throw new Error(`charge ${id} is paid by ${providerId} on the network, and can't succeed: ${ended}`);
    }
  }
}
