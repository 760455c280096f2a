import type { HistoryOperation } from "../history.js";
import { addressFields, timeText } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import type { RecordOptions } from "./transaction-record.js";
import { transactionRecord } from "./transaction-record.js";

/**
 * Horizon's operation resource, field by field in its order. Details come last and may override: an injected
 * record is whatever it was injected as.
 * @param joined whether `join=transactions` puts the whole transaction beside it
 */
export function operationRecord(
  operation: HistoryOperation,
  options: RecordOptions,
  joined: boolean,
): JsonObject {
  const { id, transaction } = operation;
  const { base } = options;
  const self = `${base}/operations/${id}`;
  return {
    _links: {
      self: { href: self },
      transaction: { href: `${base}/transactions/${transaction.hash}` },
      effects: { href: `${self}/effects` },
      succeeds: { href: `${base}/effects?order=desc&cursor=${id}` },
      precedes: { href: `${base}/effects?order=asc&cursor=${id}` },
    },
    id: id.toString(),
    paging_token: id.toString(),
    transaction_successful: transaction.successful,
    ...addressFields("source_account", operation.source),
    type: operation.type,
    type_i: operation.typeI,
    created_at: timeText(transaction.closedAt),
    transaction_hash: transaction.hash,
    ...(joined ? { transaction: transactionRecord(transaction, options) } : {}),
    ...operation.details,
  };
}
