import type { QueryRunner } from "typeorm";
import type { CreditKey } from "../stellar/credit.js";

/**
 * Only `unreadable` ones: a payment, or an exception that a person may be looking at, is never taken back, nor is what a person has decided about.
 * The credit goes with its exception, in the caller's transaction: it is decided anew there, or stays.
 */
const FORGET = `
  WITH unreadable AS (
    DELETE FROM payment_exceptions e
    USING unnest($1::bigint[], $2::integer[]) AS wanted (operation_id, move_index)
    WHERE e.operation_id = wanted.operation_id AND e.move_index = wanted.move_index AND e.reason = 'unreadable'
      AND NOT EXISTS (
        SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
    RETURNING e.operation_id, e.move_index
  )
  DELETE FROM credits c USING unreadable u
  WHERE c.operation_id = u.operation_id AND c.move_index = u.move_index`;

/** Takes back the `unreadable` exceptions of these credits, so that a replay can decide them. */
export async function forgetUnreadable(runner: QueryRunner, keys: readonly CreditKey[]): Promise<void> {
  await runner.query(FORGET, [
    keys.map((key) => key.operationId.toString()),
    keys.map((key) => key.moveIndex),
  ]);
}
