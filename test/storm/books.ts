import type { DataSource } from "typeorm";
import type { NetworkCredit } from "../chaos/ledger.js";
import type { BookedCharge, BookedException } from "./verdict.js";
import type { StormWorld } from "./world.js";

/** What a run is counted by, beside the verdict. */
export type ChargeFigures = {
  readonly provider: string;
  readonly status: string;
  readonly failureCode: string | null;
  readonly count: number;
  readonly attempts: number;
  readonly mostAttempts: number;
  /** How many were unknown in between. */
  readonly unknown: number;
};

export type StormBooks = {
  readonly charges: readonly BookedCharge[];
  readonly exceptions: readonly BookedException[];
  readonly figures: readonly ChargeFigures[];
  /** Of attempts: kind and outcome, with how often. */
  readonly outcomes: readonly { readonly outcome: string; readonly count: number }[];
  /** What waits for a person, in words: nothing may. */
  readonly forPersons: readonly string[];
};

/** Grouped first: asked for each charge alone, a long run's would take minutes. */
const CHARGES = `
  WITH paid AS (
    SELECT p.charge_id, sum(r.amount) AS paid FROM payments p JOIN credits r USING (operation_id, move_index)
    WHERE p.charge_id IS NOT NULL GROUP BY p.charge_id
  ), told AS (
    SELECT charge_id, array_agg(type ORDER BY created_at) AS events FROM outbox_events
    WHERE charge_id IS NOT NULL GROUP BY charge_id
  )
  SELECT c.id, c.reference, c.provider, c.status, c.amount, paid.paid, coalesce(told.events, '{}') AS events
  FROM charges c LEFT JOIN paid ON paid.charge_id = c.id LEFT JOIN told ON told.charge_id = c.id`;

const EXCEPTIONS = `
  SELECT c.transaction_hash AS hash, c.amount, e.reason
  FROM payment_exceptions e JOIN credits c USING (operation_id, move_index)`;

const FIGURES = `
  SELECT provider, status, failure_code AS "failureCode", count(*)::int AS count, sum(attempts)::int AS attempts,
    max(attempts)::int AS "mostAttempts", count(unknown_since)::int AS unknown
  FROM charges GROUP BY provider, status, failure_code ORDER BY provider, count DESC`;

const OUTCOMES = `
  SELECT kind || ' ' || coalesce(outcome, 'without outcome') AS outcome, count(*)::int AS count
  FROM charge_attempts GROUP BY 1 ORDER BY 2 DESC`;

const FOR_PERSONS = `
  SELECT kind || ' of ' || subject || ': ' || detail AS line FROM recovery_findings WHERE action = 'needs_person'`;

/**
 * Reads the books in one snapshot.
 * @param orderOf which order a transaction pays, by its hash
 */
export async function readStormBooks(
  dataSource: DataSource,
  orderOf: ReadonlyMap<string, string>,
): Promise<StormBooks> {
  return dataSource.transaction("REPEATABLE READ", async (manager) => {
    const charges: (Omit<BookedCharge, "amount" | "paid"> & { amount: string; paid: string | null })[] =
      await manager.query(CHARGES);
    const exceptions: { hash: string; amount: string; reason: string }[] = await manager.query(EXCEPTIONS);
    const forPersons: { line: string }[] = await manager.query(FOR_PERSONS);
    return {
      charges: charges.map(({ amount, paid, ...row }) => ({
        ...row,
        amount: BigInt(amount),
        paid: paid === null ? null : BigInt(paid),
      })),
      exceptions: exceptions.map(({ hash, amount, reason }) => ({
        reference: orderOf.get(hash) ?? null,
        amount: BigInt(amount),
        reason,
      })),
      figures: await manager.query(FIGURES),
      outcomes: await manager.query(OUTCOMES),
      forPersons: forPersons.map(({ line }) => line),
    };
  });
}

/** Stroops in a cent. */
const CENT = 100_000n;

/** What the providers took by their own books, by reference: one entry for each time. */
export function takings(
  { stripe }: StormWorld,
  credits: readonly NetworkCredit[],
  orderOf: ReadonlyMap<string, string>,
): Map<string, bigint[]> {
  const taken = new Map<string, bigint[]>();
  const add = (reference: string, amount: bigint) =>
    taken.set(reference, [...(taken.get(reference) ?? []), amount]);
  const intents = new Map(stripe.bank.list().map(({ id, metadata }) => [id, metadata.reference]));
  for (const times of stripe.bank.takings().values()) {
    for (const { payment_intent, amount } of times) {
      add(intents.get(payment_intent) ?? payment_intent, BigInt(amount) * CENT);
    }
  }
  for (const { hash, amount } of credits) add(orderOf.get(hash) ?? hash, amount);
  return taken;
}
