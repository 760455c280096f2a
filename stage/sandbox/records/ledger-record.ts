import type { HistoryLedger } from "../history.js";
import { timeText } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { BASE_FEE, BASE_RESERVE } from "../ledger-state.js";
import { decimal } from "../operations/move-effects.js";

export const PROTOCOL_VERSION = 23;

/** All lumens there are, in stroops, as on the network since 2019. */
export const TOTAL_COINS = 500_018_068_120_000_000n;

/** Horizon's ledger resource. `header_xdr` is empty: the sandbox has no consensus whose header it could show. */
export function ledgerRecord(ledger: HistoryLedger, base: string): JsonObject {
  const self = `${base}/ledgers/${ledger.sequence}`;
  const templated = (name: string) => ({ href: `${self}/${name}{?cursor,limit,order}`, templated: true });
  return {
    _links: {
      self: { href: self },
      transactions: templated("transactions"),
      operations: templated("operations"),
      payments: templated("payments"),
      effects: templated("effects"),
    },
    id: ledger.hash,
    paging_token: ledger.id.toString(),
    hash: ledger.hash,
    prev_hash: ledger.previousHash,
    sequence: ledger.sequence,
    successful_transaction_count: ledger.successful,
    failed_transaction_count: ledger.failed,
    operation_count: ledger.operations,
    tx_set_operation_count: ledger.allOperations,
    closed_at: timeText(ledger.closedAt),
    total_coins: decimal(TOTAL_COINS),
    fee_pool: decimal(ledger.feePool),
    base_fee_in_stroops: Number(BASE_FEE),
    base_reserve_in_stroops: Number(BASE_RESERVE),
    max_tx_set_size: 1000,
    protocol_version: PROTOCOL_VERSION,
    header_xdr: "",
  };
}
