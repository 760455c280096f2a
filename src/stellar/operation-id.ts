import { preview } from "./preview.js";

/**
 * Horizon's id of an operation, a TOID (SEP-35): ledger (32 bits) | transaction order in the ledger (20) |
 * operation order in the transaction (12). It passes 2^53, so it is a bigint or text, never a number.
 * It grows with time over the whole network, which is why it serves as cursor and as Redis stream id.
 */
export type OperationId = bigint & { readonly kind: "operation id" };

/** Sequence number of a ledger, 1 for the network's first. */
export type LedgerSequence = number & { readonly kind: "ledger sequence" };

/** The cursor before every operation. */
export const BEFORE_ALL = 0n as OperationId;

const MAX_TOID = 2n ** 63n - 1n;

export class InvalidOperationIdError extends Error {
  override readonly name = "InvalidOperationIdError";
}

/**
 * Parses an id or paging token as Horizon serves it.
 * @throws InvalidOperationIdError when `text` is no decimal int64, JSON numbers included: they lose digits past 2^53
 */
export function parseOperationId(text: unknown): OperationId {
  if (typeof text !== "string" || !/^\d{1,19}$/.test(text) || BigInt(text) > MAX_TOID) {
    throw new InvalidOperationIdError(`an operation id is a decimal int64 as text, got ${preview(text)}`);
  }
  return BigInt(text) as OperationId;
}

/** The ledger that an operation is in. */
export function ledgerOf(id: OperationId): LedgerSequence {
  return Number(id >> 32n) as LedgerSequence;
}

/** Builds the TOID of an operation: orders count from 1; 0 names the transaction or the ledger itself. */
export function toOperationId(ledger: number, transactionOrder: number, operationOrder: number): OperationId {
  return ((BigInt(ledger) << 32n) |
    (BigInt(transactionOrder) << 12n) |
    BigInt(operationOrder)) as OperationId;
}

/** The greatest cursor that still lies in `ledger`: after it come only operations of later ledgers. */
export function endOfLedger(ledger: LedgerSequence): OperationId {
  return (((BigInt(ledger) + 1n) << 32n) - 1n) as OperationId;
}
