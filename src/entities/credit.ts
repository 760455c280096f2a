import type { EntityManager } from "typeorm";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId, CreditKey, TransactionHash } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

/** What the network said of a credit. What is null, nobody could read (but for the sender, who may be nobody). */
export type CreditFacts = CreditKey & {
  readonly account: AccountId;
  readonly transactionHash: TransactionHash | null;
  readonly from: string | null;
  readonly asset: Asset | null;
  readonly amount: Stroops | null;
  readonly muxed: MemoKey | null;
  readonly memo: MemoKey | null;
  readonly closedAt: Date | null;
};

/** What a person decided about an exception. */
export type Verdict = {
  readonly verdict: VerdictWord;
  readonly note: string;
  /** An API key's prefix, or `operator:<user>`. */
  readonly decidedBy: string;
  readonly decidedAt: Date;
};

export const VERDICTS = ["accept", "refund", "dismiss"] as const;

export type VerdictWord = (typeof VERDICTS)[number];

/** Columns of `credits c`: never the record, which can be long. */
export const FACT_COLUMNS = `c.operation_id, c.move_index, c.account, c.transaction_hash, c.sender, c.asset,
    c.amount, c.muxed_key, c.memo_key, c.closed_at`;

export const VERDICT_COLUMNS = `v.verdict, v.note, v.decided_by, v.decided_at`;

export type FactRow = {
  operation_id: string;
  move_index: number;
  account: AccountId;
  transaction_hash: TransactionHash | null;
  sender: string | null;
  asset: string | null;
  amount: string | null;
  muxed_key: MemoKey | null;
  memo_key: MemoKey | null;
  closed_at: Date | null;
};

export type VerdictRow = {
  verdict: VerdictWord | null;
  note: string | null;
  decided_by: string | null;
  decided_at: Date | null;
};

export function factsOf(row: FactRow): CreditFacts {
  return {
    operationId: parseOperationId(row.operation_id),
    moveIndex: row.move_index,
    account: row.account,
    transactionHash: row.transaction_hash,
    from: row.sender,
    asset: row.asset === null ? null : parseAsset(row.asset),
    amount: row.amount === null ? null : toStroops(BigInt(row.amount)),
    muxed: row.muxed_key,
    memo: row.memo_key,
    closedAt: row.closed_at,
  };
}

/** @returns null where nobody has decided yet */
export function verdictOf({ verdict, note, decided_by, decided_at }: VerdictRow): Verdict | null {
  if (verdict === null || note === null || decided_by === null || decided_at === null) return null;
  return { verdict, note, decidedBy: decided_by, decidedAt: decided_at };
}

/** What lists of credits can be asked for; what is undefined does not matter. */
export type CreditFilter = {
  readonly key?: CreditKey | undefined;
  readonly sessionId?: string | undefined;
  readonly account?: string | undefined;
  readonly transactionHash?: string | undefined;
  readonly sender?: string | undefined;
  readonly asset?: string | undefined;
  /** Both exclusive. */
  readonly closedAfter?: Date | undefined;
  readonly closedBefore?: Date | undefined;
};

/** $3 to $12: what `creditConditions` are about. */
export function creditValues(filter: CreditFilter, before: CreditKey | null): unknown[] {
  return [
    before?.operationId.toString() ?? null,
    before?.moveIndex ?? null,
    filter.key?.operationId.toString() ?? null,
    filter.key?.moveIndex ?? null,
    filter.account ?? null,
    filter.transactionHash ?? null,
    filter.sender ?? null,
    filter.asset ?? null,
    filter.closedAfter?.toISOString() ?? null,
    filter.closedBefore?.toISOString() ?? null,
  ];
}

/**
 * The credits of account `a`, and their order. Written as a range of one: of an equality Postgres would know that it
 * makes the account no part of the order, and would then walk the primary key backwards through every other account's
 * credits, however many came since.
 */
export const OF_ACCOUNT = "c.account BETWEEN a.account AND a.account";
export const NEWEST_FIRST = "c.account DESC, c.operation_id DESC, c.move_index DESC";

/** A condition whose value is null is true for every row, and gone before the query is planned. */
export const CREDIT_CONDITIONS = `
      ($3::bigint IS NULL OR (c.operation_id, c.move_index) < ($3, $4::integer))
      AND ($5::bigint IS NULL OR (c.operation_id = $5 AND c.move_index = $6::integer))
      AND ($7::text IS NULL OR c.account = $7)
      AND ($8::text IS NULL OR c.transaction_hash = $8)
      AND ($9::text IS NULL OR c.sender = $9)
      AND ($10::text IS NULL OR c.asset = $10)
      AND ($11::timestamptz IS NULL OR c.closed_at > $11)
      AND ($12::timestamptz IS NULL OR c.closed_at < $12)`;

/** Credits before this operation were taken out of the books into the archive; 0 where none were. */
export async function readArchivedEnd(manager: EntityManager): Promise<OperationId> {
  const [row]: { archived_end: string }[] = await manager.query("SELECT archived_end()");
  return parseOperationId(row?.archived_end);
}

/** Why a credit settled nothing. */
export const EXCEPTION_REASONS = [
  "duplicate",
  "underpaid",
  "wrong_asset",
  "late",
  "unmatched",
  "no_memo",
  "unreadable",
] as const;

export type ExceptionReason = (typeof EXCEPTION_REASONS)[number];
