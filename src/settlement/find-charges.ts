import type { EntityManager } from "typeorm";
import type { Charge, ChargeId, ChargeStatus } from "../entities/charge.js";
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

/** By both primary keys: as much as the batch is long, and nothing where nothing was handed in. */
const SELECT_HANDED_IN = `
  SELECT s.hash, c.id, c.account, c.asset, c.status
  FROM submissions s JOIN charges c ON c.id = s.charge_id
  WHERE s.hash = ANY ($1::text[])`;

/** In id order, and always after the sessions: two who settle the same charges wait for each other. */
const LOCK_IN_ORDER = `ORDER BY c.id FOR NO KEY UPDATE OF c`;

/**
 * Finds the charges that the transactions of `movements` were handed in for, in one query. Who accepts one of those
 * transactions at this moment looks for its credits in the same way: the database lets only one of the two miss the
 * other (see storeSubmission).
 * @param lock inside a transaction: lock the rows until it ends
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
  const query = lock ? `${SELECT_HANDED_IN} ${LOCK_IN_ORDER}` : SELECT_HANDED_IN;
  const rows: Row[] = await manager.query(query, [[...hashes]]);
  return new HandedInCharges(rows);
}

type Row = {
  hash: TransactionHash;
  id: ChargeId;
  account: AccountId | null;
  asset: Charge["asset"];
  status: ChargeStatus;
};
