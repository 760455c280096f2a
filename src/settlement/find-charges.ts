import type { EntityManager } from "typeorm";
import type { Charge, ChargeId, ChargeStatus } from "../entities/charge.js";
import { runPrepared } from "../postgres/strict-client.js";
import type { AccountId, Credit, Movement, TransactionHash } from "../stellar/credit.js";
import type { DecidableCharge } from "./decide.js";

/** The charges that the transactions of a batch of credits were handed in for. */
export class HandedInCharges {
  readonly #byHash = new Map<TransactionHash, DecidableCharge>();

  constructor(rows: Iterable<DecidableCharge & { readonly hash: TransactionHash }>) {
    for (const { hash, ...charge } of rows) this.#byHash.set(hash, charge);
  }

  /** The charge that a credit's transaction was handed in for; another account's credit of it is none of its. */
  of(credit: Credit): DecidableCharge | null {
    const charge = this.#byHash.get(handedInHash(credit));
    return charge !== undefined && charge.account === credit.account ? charge : null;
  }
}

/** Of a fee bump the inner hash: under it a transaction is handed in, whoever bumps it later. */
export function handedInHash(
  credit: Pick<Credit, "transactionHash" | "innerHash">,
): Credit["transactionHash"] {
  return credit.innerHash ?? credit.transactionHash;
}

/**
 * By both primary keys, one hash after the other: a join of the whole list would be planned as a scan of all submissions
 * until there are very many of them, and every acceptance would then conflict with every settlement.
 */
const FIND_HANDED_IN = {
  name: "find_handed_in_charges",
  text: `
  SELECT named.hash, charge.*
  FROM unnest($1::text[]) AS named (hash)
  CROSS JOIN LATERAL (
    SELECT c.id, c.account, c.memo_key AS "memoKey", c.asset, c.status
    FROM submissions s JOIN charges c ON c.id = s.charge_id
    WHERE s.hash = named.hash OFFSET 0) AS charge`,
};

/**
 * In id order, and always after the sessions: two who settle the same charges wait for each other. One that has changed
 * since it was read can't be locked: the transaction is run again.
 */
const LOCK_IN_ORDER = `SELECT FROM charges WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`;

/**
 * Finds the charges that the transactions of `movements` were handed in for, in one query, and in a second one locks
 * what it found. Who accepts one of those
 * transactions at this moment looks for its credits in the same way: the database lets only one of the two miss the
 * other (see storeSubmission).
 * @param lock inside a serializable transaction: lock the rows until it ends
 */
export async function findCharges(
  manager: EntityManager,
  movements: readonly Movement[],
  { lock }: { lock: boolean },
): Promise<HandedInCharges> {
  const hashes = new Set(
    movements.flatMap((movement) => (movement.kind === "credit" ? handedInHash(movement) : [])),
  );
  if (hashes.size === 0) return new HandedInCharges([]);
  const rows = await runPrepared<Row>(manager, FIND_HANDED_IN, [[...hashes]]);
  if (lock && rows.length > 0) await manager.query(LOCK_IN_ORDER, [rows.map(({ id }) => id)]);
  return new HandedInCharges(rows);
}

type Row = {
  hash: TransactionHash;
  id: ChargeId;
  account: AccountId | null;
  memoKey: Charge["memoKey"];
  asset: Charge["asset"];
  status: ChargeStatus;
};
