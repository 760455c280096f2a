import type { EntityManager } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

/** A credit as the books hold it, with where it is placed. Values are as stored: an audit believes nothing. */
export type BookedCredit = {
  readonly operationId: OperationId;
  readonly moveIndex: number;
  readonly outcome: string;
  readonly account: string;
  readonly transactionHash: string | null;
  readonly innerHash: string | null;
  readonly sender: string | null;
  readonly asset: string | null;
  /** Stroops. */
  readonly amount: bigint | null;
  readonly memoKey: string | null;
  readonly muxedKey: string | null;
  readonly closedAt: Date | null;
  /** The exception's, where there is one. */
  readonly reason: string | null;
  readonly detail: string | null;
  /** The charge that its transaction was handed in for. */
  readonly handedInFor: {
    readonly id: string;
    readonly account: string | null;
    readonly asset: string | null;
    readonly status: string;
    /** The memo that its transaction has to carry; older charges have none. */
    readonly memoKey: string | null;
  } | null;
  /** The charge of its payment, where it is a charge's. */
  readonly paysCharge: string | null;
  /** Of a session. */
  readonly payment: {
    readonly surplus: bigint;
    /** Whether a person accepted it. */
    readonly accepted: boolean;
    readonly session: {
      readonly id: string;
      readonly account: string;
      readonly asset: string;
      readonly amount: bigint;
      readonly memoKey: string;
    };
  } | null;
};

const READ = `
  SELECT c.operation_id, c.move_index, c.outcome, c.account, c.transaction_hash, c.inner_hash, c.sender, c.asset, c.amount,
         c.memo_key, c.muxed_key, c.closed_at, e.reason, e.detail, p.surplus, v.verdict,
         s.id AS session_id, s.account AS session_account, s.asset AS session_asset, s.amount AS session_amount,
         s.memo_key AS session_memo, p.charge_id,
         ch.id AS handed_in_for, ch.account AS charge_account, ch.asset AS charge_asset, ch.status AS charge_status,
         ch.memo_key AS charge_memo
  FROM credits c
  LEFT JOIN payments p USING (operation_id, move_index)
  LEFT JOIN checkout_sessions s ON s.id = p.session_id
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  LEFT JOIN submissions sub ON sub.hash = coalesce(c.inner_hash, c.transaction_hash)
  LEFT JOIN charges ch ON ch.id = sub.charge_id
  WHERE c.account = $1 AND c.operation_id > $2 AND c.operation_id <= $3
  ORDER BY c.operation_id, c.move_index`;

/** Every credit of an account after one operation and up to another, in the network's order. */
export async function bookedCredits(
  manager: EntityManager,
  account: AccountId,
  after: OperationId,
  through: OperationId,
): Promise<BookedCredit[]> {
  const rows: Row[] = await manager.query(READ, [account, after.toString(), through.toString()]);
  return rows.map((row) => ({
    operationId: parseOperationId(row.operation_id),
    moveIndex: row.move_index,
    outcome: row.outcome,
    account: row.account,
    transactionHash: row.transaction_hash,
    innerHash: row.inner_hash,
    sender: row.sender,
    asset: row.asset,
    amount: row.amount === null ? null : BigInt(row.amount),
    memoKey: row.memo_key,
    muxedKey: row.muxed_key,
    closedAt: row.closed_at,
    reason: row.reason,
    detail: row.detail,
    handedInFor:
      row.handed_in_for === null
        ? null
        : {
            id: row.handed_in_for,
            account: row.charge_account,
            asset: row.charge_asset,
            status: row.charge_status,
            memoKey: row.charge_memo,
          },
    paysCharge: row.charge_id,
    payment:
      row.session_id === null
        ? null
        : {
            surplus: BigInt(row.surplus),
            accepted: row.verdict === "accept",
            session: {
              id: row.session_id,
              account: row.session_account,
              asset: row.session_asset,
              amount: BigInt(row.session_amount),
              memoKey: row.session_memo,
            },
          },
  }));
}

type Row = {
  operation_id: string;
  move_index: number;
  outcome: string;
  account: string;
  transaction_hash: string | null;
  inner_hash: string | null;
  sender: string | null;
  asset: string | null;
  amount: string | null;
  memo_key: string | null;
  muxed_key: string | null;
  closed_at: Date | null;
  reason: string | null;
  detail: string | null;
  surplus: string;
  verdict: string | null;
  session_id: string | null;
  session_account: string;
  session_asset: string;
  session_amount: string;
  session_memo: string;
  charge_id: string | null;
  handed_in_for: string | null;
  charge_account: string | null;
  charge_asset: string | null;
  charge_status: string;
  charge_memo: string | null;
};
