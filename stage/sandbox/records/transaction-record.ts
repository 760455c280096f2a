import type { HistoryTransaction } from "../history.js";
import { timeText } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { transactionMeta } from "./transaction-meta.js";

/**
 * Horizon's transaction resource.
 * @param asked the hash that was asked for: a fee bump found by its inner hash shows that one and its signatures
 */
export function transactionRecord(
  transaction: HistoryTransaction,
  { base, resultMeta }: RecordOptions,
  asked = transaction.hash,
): JsonObject {
  const { memo, memo_bytes, preconditions, ...body } = transaction.body;
  const inner = transaction.innerHash;
  return {
    ...(memo === undefined ? {} : { memo }),
    ...(memo_bytes === undefined ? {} : { memo_bytes }),
    _links: links(transaction, base, asked),
    id: asked,
    paging_token: transaction.id.toString(),
    successful: transaction.successful,
    hash: asked,
    ledger: transaction.ledger,
    created_at: timeText(transaction.closedAt),
    ...body,
    ...(resultMeta ? metaFields(transaction) : {}),
    signatures: asked === inner ? transaction.innerSignatures : transaction.signatures,
    ...(preconditions === undefined ? {} : { preconditions }),
    ...(inner === null ? {} : feeBumpFields(transaction, inner)),
  };
}

/** In the place that the body keeps for them. */
function metaFields(transaction: HistoryTransaction): JsonObject {
  const { result, fee } = transactionMeta(transaction);
  return { result_meta_xdr: result, fee_meta_xdr: fee };
}

function feeBumpFields(transaction: HistoryTransaction, inner: string): JsonObject {
  return {
    fee_bump_transaction: { hash: transaction.hash, signatures: transaction.signatures },
    inner_transaction: {
      hash: inner,
      signatures: transaction.innerSignatures,
      max_fee: transaction.innerMaxFee,
    },
  };
}

function links(transaction: HistoryTransaction, base: string, hash: string): JsonObject {
  const self = `${base}/transactions/${hash}`;
  const page = "{?cursor,limit,order}";
  return {
    self: { href: self },
    account: { href: `${base}/accounts/${transaction.body.source_account}` },
    ledger: { href: `${base}/ledgers/${transaction.ledger}` },
    operations: { href: `${self}/operations${page}`, templated: true },
    effects: { href: `${self}/effects${page}`, templated: true },
    precedes: { href: `${base}/transactions?order=asc&cursor=${transaction.id}` },
    succeeds: { href: `${base}/transactions?order=desc&cursor=${transaction.id}` },
    transaction: { href: self },
  };
}

/** How a server writes its records. */
export type RecordOptions = {
  /** `http://host:port` as the client called us: what links begin with. */
  readonly base: string;
  /** Whether transactions carry their metas, as Horizon's do unless SKIP_TXMETA is set. */
  readonly resultMeta: boolean;
};
