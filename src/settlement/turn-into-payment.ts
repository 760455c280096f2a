import type { QueryRunner } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { Asset } from "../stellar/asset.js";
import type { TransactionHash } from "../stellar/credit.js";
import type { Stroops } from "../stellar/stroops.js";
import type { CreditFacts } from "./credit-facts.js";
import { paymentConfirmed } from "./events.js";
import { tell } from "./tell.js";

/** In this order: a credit may not be a payment while an exception refers to it. */
const WITHDRAW = `DELETE FROM payment_exceptions WHERE operation_id = $1 AND move_index = $2`;
const CHANGE_OUTCOME = `UPDATE credits SET outcome = 'payment' WHERE operation_id = $1 AND move_index = $2`;
const PAY = `INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES ($1, $2, $3, $4)`;
const SETTLE = `UPDATE checkout_sessions SET status = 'paid', paid_at = $2 WHERE id = $1`;

/** A credit that can pay: everything about it was read. */
export type ReadCredit = CreditFacts & {
  readonly transactionHash: TransactionHash;
  readonly asset: Asset;
  readonly amount: Stroops;
  readonly closedAt: Date;
};

/**
 * Makes a recorded credit the payment of a session that the caller has locked, and tells its merchant. The credit
 * has exactly one place all the time (G1), and `payments_one_per_session` refuses a second one (G2).
 * @throws the database's error; by its constraint's name where one refused
 */
export async function turnIntoPayment(
  runner: QueryRunner,
  credit: ReadCredit,
  sessionId: SessionId,
  surplus: Stroops,
): Promise<void> {
  const key = [credit.operationId.toString(), credit.moveIndex];
  await runner.query(WITHDRAW, key);
  await runner.query(CHANGE_OUTCOME, key);
  await runner.query(PAY, [...key, sessionId, surplus.toString()]);
  await runner.query(SETTLE, [sessionId, credit.closedAt.toISOString()]);
  await tell(runner, { sessionId, account: credit.account }, paymentConfirmed(credit, sessionId, surplus));
}
