import type { EntityManager } from "typeorm";
import { type Asset, parseAsset } from "../stellar/asset.js";
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
         c.memo_key, c.muxed_key, c.closed_at, e.reason, e.detail, p.charge_id,
         CASE WHEN ch.id IS NOT NULL THEN json_build_object(
           'id', ch.id, 'account', ch.account, 'asset', ch.asset, 'status', ch.status, 'memoKey', ch.memo_key) END AS charge,
         -- Amounts as text: a number of JSON is a float.
         CASE WHEN s.id IS NOT NULL THEN json_build_object(
           'surplus', p.surplus::text, 'accepted', v.verdict IS NOT DISTINCT FROM 'accept', 'id', s.id,
           'account', s.account, 'asset', s.asset, 'amount', s.amount::text, 'memoKey', s.memo_key) END AS session
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
  return rows.map(({ session, ...row }) => ({
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
    handedInFor: row.charge,
    paysCharge: row.charge_id,
    payment: session && {
      surplus: BigInt(session.surplus),
      accepted: session.accepted,
      session: { ...session, amount: BigInt(session.amount) },
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
  charge_id: string | null;
  charge: BookedCredit["handedInFor"];
  session: {
    surplus: string;
    accepted: boolean;
    id: string;
    account: string;
    asset: string;
    amount: string;
    memoKey: string;
  } | null;
};

const REACH = `SELECT starting_cursor, watermark, read_through FROM watched_cursors WHERE account = $1`;

/** Where an account's books begin and end. */
export type BooksReach = {
  readonly watchedFrom: OperationId;
  /** All credits up to here are settled. */
  readonly watermark: OperationId;
  /** The network was read up to here. */
  readonly readThrough: OperationId;
};

export async function readBooksReach(manager: EntityManager, account: AccountId): Promise<BooksReach> {
  const [row]: { starting_cursor: string; watermark: string; read_through: string }[] = await manager.query(
    REACH,
    [account],
  );
  if (row === undefined) throw new Error(`${account} is not watched`);
  return {
    watchedFrom: parseOperationId(row.starting_cursor),
    watermark: parseOperationId(row.watermark),
    readThrough: parseOperationId(row.read_through),
  };
}

const SUMS = `
  SELECT asset, sum(amount) AS sum FROM credits
  WHERE account = $1 AND operation_id > $2 AND operation_id <= $3 AND asset IS NOT NULL AND amount IS NOT NULL
  GROUP BY asset`;

const OPERATIONS = `
  SELECT DISTINCT operation_id FROM credits WHERE account = $1 AND operation_id = ANY ($2::bigint[])`;

/** What the books have of a range, per asset. */
export async function bookedSums(
  manager: EntityManager,
  account: AccountId,
  after: OperationId,
  through: OperationId,
): Promise<Map<Asset, bigint>> {
  const rows: { asset: string; sum: string }[] = await manager.query(SUMS, [
    account,
    after.toString(),
    through.toString(),
  ]);
  return new Map(rows.map(({ asset, sum }) => [parseAsset(asset), BigInt(sum)]));
}

/** Those operations of which the books have a row, readable or not. */
export async function bookedOperations(
  manager: EntityManager,
  account: AccountId,
  operations: readonly OperationId[],
): Promise<Set<OperationId>> {
  const rows: { operation_id: string }[] = await manager.query(OPERATIONS, [
    account,
    operations.map((id) => id.toString()),
  ]);
  return new Set(rows.map(({ operation_id }) => parseOperationId(operation_id)));
}
