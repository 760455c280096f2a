import type { QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import { creditKeyText, type TransactionHash } from "../stellar/credit.js";
import { endCharge } from "./end-charge.js";
import { handedInHash } from "./find-charges.js";
import type { DecidedMovement } from "./record-outcomes.js";

const FROM_THE_NETWORK = { from: "its credit on the network" };

/**
 * Ends every charge that credits of a batch pay, with its event, in the transaction that records them. Acceptance has
 * checked that the operations sum exactly to the amount, and a transaction applies whole: its first credit proves the
 * rest of it, which may come in a later batch.
 * @param fresh keys of what this transaction records: what was there before has ended its charge before
 * @throws Error where a charge has ended another way: it is locked, and was read open under that lock
 */
export async function endPaidCharges(
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
