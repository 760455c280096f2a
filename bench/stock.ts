import type { DataSource } from "typeorm";
import { NATIVE } from "../src/stellar/asset.js";
import type { AccountId, Credit, TransactionHash } from "../src/stellar/credit.js";
import { idMemo, type MemoKey, textMemo } from "../src/stellar/memo.js";
import { toOperationId } from "../src/stellar/operation-id.js";
import { toStroops } from "../src/stellar/stroops.js";

/** What is sold: every session asks for this much, and every payment brings it. */
export const PRICE = toStroops(100_000_000n);

/** One ledger for all of a benchmark's payments that no network made: it holds a million transactions (SEP-35). */
export const LEDGER = 60_000_000;

/**
 * The memo of the n-th session: 48 bits in no order, each once, as the API's own are. In order, all new entries of the
 * index would go to one page of it, which no merchant's do.
 */
const SCATTER = 25_214_903_917n;
const MASK = (1n << 48n) - 1n;

/** What a session is paid with; a text where the sandbox's bulk payments pay, which know no other. */
export type MemoKind = "id" | "text";

export function memoOf(n: number, kind: MemoKind = "id"): MemoKey {
  const id = ((BigInt(n) * SCATTER) & MASK).toString();
  return kind === "id" ? idMemo(id) : textMemo(Buffer.from(id));
}

/** The same in SQL, of a bigint `n`. */
export const MEMO_OF: Readonly<Record<MemoKind, string>> = {
  id: `'id:' || ((n * ${SCATTER}) & ${MASK})`,
  text: `'text:' || encode(convert_to(((n * ${SCATTER}) & ${MASK})::text, 'UTF8'), 'hex')`,
};

/** Who is paid. */
export type Owner = { readonly account: AccountId; readonly merchantId: string };

export type Sessions = {
  /** At least 1. */
  readonly from: number;
  readonly to: number;
  readonly kind?: MemoKind;
  /** Only those whose number divided by the second leaves the first. */
  readonly of?: readonly [rest: number, owners: number];
};

/**
 * Opens sessions n from `from` up to and without `to`, set-wise: each waits for one payment, for a day.
 */
export async function openSessions(
  dataSource: DataSource,
  { account, merchantId }: Owner,
  { from, to, kind = "id", of: [rest, owners] = [0, 1] }: Sessions,
): Promise<void> {
  await dataSource.query(
    `INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at)
     SELECT uuidv7(), $1, $2, ${MEMO_OF[kind]}, '${NATIVE}', ${PRICE}, now() + interval '1 day'
     FROM generate_series($3::bigint, $4::bigint - 1) AS n WHERE n % $5 = $6`,
    [merchantId, account, from, to, owners, rest],
  );
}

/** The payment of the n-th session, as ingest would have read it now. n is at most 1,048,575. */
export function creditOf(n: number, account: AccountId, closedAt: Date): Credit {
  return creditAt({ operationId: toOperationId(LEDGER, n, 1), account, memo: memoOf(n), closedAt });
}

type Paying = Pick<Credit, "operationId" | "account" | "closedAt"> & { readonly memo: MemoKey };

/** A payment of the price, as ingest reads one. @param memo of kind `id` */
export function creditAt({ operationId, account, memo, closedAt }: Paying): Credit {
  const transactionHash = operationId.toString(16).padStart(64, "0") as TransactionHash;
  return {
    kind: "credit",
    operationId,
    moveIndex: 0,
    account,
    transactionHash,
    innerHash: null,
    from: PAYER,
    asset: NATIVE,
    amount: PRICE,
    muxed: null,
    memo,
    closedAt,
    record: recordOf({ operationId, transactionHash, account, memo, closedAt }),
  };
}

const PAYER = "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA";

type Recorded = Paying & Pick<Credit, "transactionHash">;

/** As Horizon serves a payment with `join=transactions`, without what ingest drops: about 1 KB. */
function recordOf({ operationId, transactionHash, account, closedAt, memo }: Recorded): string {
  const created_at = closedAt.toISOString();
  const id = operationId.toString();
  return JSON.stringify({
    id,
    paging_token: id,
    transaction_successful: true,
    source_account: PAYER,
    type: "payment",
    type_i: 1,
    created_at,
    transaction_hash: transactionHash,
    transaction: {
      memo: memo.slice("id:".length),
      memo_type: "id",
      id: transactionHash,
      paging_token: id,
      successful: true,
      hash: transactionHash,
      ledger: LEDGER,
      created_at,
      source_account: PAYER,
      source_account_sequence: "257698037760000001",
      fee_account: PAYER,
      fee_charged: "100",
      max_fee: "100",
      operation_count: 1,
      signatures: [
        "Zm9yIGEgcmVhbCBzaXplOiA2NCBieXRlcyBvZiBzaWduYXR1cmUsIGJhc2U2NC4uLi4uLi4uLi4uLi4uLi4uLg==",
      ],
      preconditions: { timebounds: { min_time: "0", max_time: "1795250000" } },
    },
    asset_type: "native",
    from: PAYER,
    to: account,
    amount: "10.0000000",
  });
}
