import type { EntityManager } from "typeorm";
import {
  type CheckoutSession,
  SESSION_COLUMNS,
  type SessionId,
  type SessionRow,
  sessionOfRow,
} from "../entities/checkout-session.js";
import { type PreparedStatement, runPrepared, textArray } from "../postgres/strict-client.js";
import type { AccountId, Credit, Movement } from "../stellar/credit.js";
import { type Reference, referenceOf, referenceOfKey } from "../stellar/reference.js";
import type { DecidableSession } from "./decide.js";

/** What names a session: an account and, by its memo key, a reference on it. */
type Named = Pick<CheckoutSession, "id" | "account" | "memoKey">;

/** The sessions that a batch of credits names, by account and reference. */
export class NamedSessions<S extends Named> {
  readonly #byReference = new Map<string, S>();

  constructor(rows: Iterable<S>) {
    for (const row of rows) this.#byReference.set(placeOf(row.account, referenceOfKey(row.memoKey)), row);
  }

  /** The session that a credit is for; null where it names none of this account. */
  of(credit: Credit): S | null {
    const reference = referenceOf(credit);
    return reference === null ? null : (this.#byReference.get(placeOf(credit.account, reference)) ?? null);
  }

  all(): S[] {
    return [...this.#byReference.values()];
  }

  ids(): SessionId[] {
    return this.all().map((session) => session.id);
  }
}

/**
 * By the index, one reference after the other: a join of the whole list is planned as a scan of all sessions until there
 * are very many of them. That costs more than the rest of the settlement, and every change of any session would conflict
 * with it.
 */
const selectNamed = (columns: string) => `
  SELECT s.*
  FROM unnest($1::text[], $2::text[]) AS named (account, reference)
  CROSS JOIN LATERAL (
    SELECT ${columns} FROM checkout_sessions s
    WHERE s.account = named.account AND payment_reference(s.memo_key) = named.reference OFFSET 0) AS s`;

const NAME = { name: "name_sessions", text: selectNamed("s.id, s.account, s.memo_key") };

/**
 * In id order, so that two replicas with the same sessions wait for each other instead of deadlocking.
 * NO KEY: the inserts that refer to a session must not wait for one that only changes its status.
 */
const LOCK_NAMED = {
  name: "lock_named_sessions",
  text: `
  WITH named AS MATERIALIZED (${selectNamed("s.id")} ORDER BY s.id)
  SELECT locked.*
  FROM named
  CROSS JOIN LATERAL (
    SELECT ${SESSION_COLUMNS} FROM checkout_sessions s WHERE s.id = named.id FOR NO KEY UPDATE OF s) AS locked`,
};

/** Tells which sessions `movements` name, in one query: nothing of them that could be old by the time it is read. */
export async function nameSessions(
  manager: EntityManager,
  movements: readonly Movement[],
): Promise<NamedSessions<Named>> {
  const rows = await run<Pick<SessionRow, "id" | "account" | "memo_key">>(manager, NAME, movements);
  return new NamedSessions(rows.map(({ id, account, memo_key: memoKey }) => ({ id, account, memoKey })));
}

/** Finds the sessions that `movements` name, inside a transaction, and locks their rows until it ends. */
export async function lockSessions(
  manager: EntityManager,
  movements: readonly Movement[],
): Promise<NamedSessions<DecidableSession>> {
  const rows = await run<SessionRow>(manager, LOCK_NAMED, movements);
  return new NamedSessions(rows.map(sessionOfRow));
}

/** @param statement takes accounts and references */
async function run<Row>(
  manager: EntityManager,
  statement: PreparedStatement,
  movements: readonly Movement[],
): Promise<Row[]> {
  const wanted = new Map<string, { account: AccountId; reference: Reference }>();
  for (const movement of movements) {
    const reference = movement.kind === "credit" ? referenceOf(movement) : null;
    if (reference === null) continue;
    wanted.set(placeOf(movement.account, reference), { account: movement.account, reference });
  }
  if (wanted.size === 0) return [];
  const places = [...wanted.values()];
  return runPrepared<Row>(manager, statement, [
    textArray(places.map(({ account }) => account)),
    textArray(places.map(({ reference }) => reference)),
  ]);
}

function placeOf(account: AccountId, reference: Reference): string {
  return `${account} ${reference}`;
}
