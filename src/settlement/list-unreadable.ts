import type { EntityManager, QueryRunner } from "typeorm";
import type { AccountId, CreditKey } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

/** A credit that could not be read, waiting for a person. */
export type UnreadableCredit = {
  /** `<operation id>-<move index>` */
  readonly key: string;
  readonly operationId: OperationId;
  readonly account: AccountId;
  readonly why: string;
  readonly raisedAt: Date;
};

const LIST = `
  SELECT e.operation_id::text AS operation_id, e.move_index, c.account, e.detail, e.raised_at
  FROM payment_exceptions e JOIN credits c USING (operation_id, move_index)
  WHERE e.reason = 'unreadable' AND NOT EXISTS (
    SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)
  ORDER BY e.operation_id, e.move_index`;

/** Every credit recorded as `unreadable` and not dismissed by a person, oldest first. */
export async function listUnreadable(manager: EntityManager): Promise<UnreadableCredit[]> {
  const rows: {
    operation_id: string;
    move_index: number;
    account: AccountId;
    detail: string;
    raised_at: Date;
  }[] = await manager.query(LIST);
  return rows.map((row) => ({
    key: `${row.operation_id}-${row.move_index}`,
    operationId: parseOperationId(row.operation_id),
    account: row.account,
    why: row.detail,
    raisedAt: row.raised_at,
  }));
}

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
