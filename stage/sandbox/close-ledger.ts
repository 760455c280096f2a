import { createHash } from "node:crypto";
import { toOperationId } from "../../src/stellar/operation-id.js";
import { type AppliedTransaction, applyTransaction, type LedgerContext } from "./apply-transaction.js";
import type { Credits } from "./credits.js";
import type { Envelope } from "./envelope.js";
import type { HistoryLedger, HistoryOperation, HistoryTransaction } from "./history.js";
import { baseAccount } from "./horizon-fields.js";
import { callFields } from "./injection-envelope.js";
import { bindInjection, type Injection } from "./operations/injected.js";
import { signatureTexts, transactionBody } from "./records/transaction-body.js";
import { resultCodes } from "./result.js";

/** A transaction on its way into a ledger. */
export type Entry = { readonly envelope: Envelope; readonly injection: Injection | null };

/** Applies one entry as the `order`th transaction (from 1) of the ledger and writes down what it was. */
export function applyEntry(
  { envelope, injection }: Entry,
  order: number,
  context: LedgerContext,
  credits: Credits,
): HistoryTransaction {
  const { transaction: inner } = envelope;
  const rules =
    injection === null
      ? undefined
      : [bindInjection(injection, inner.source, callFields(inner.networkPassphrase))];
  const applied = applyTransaction(envelope, context, rules);
  const successful = applied.verdict.code === "tx_success";
  const transaction: HistoryTransaction = {
    id: toOperationId(context.ledger, order, 0),
    ledger: context.ledger,
    closedAt: context.closeTime,
    hash: envelope.hash,
    innerHash: envelope.innerHashBytes === null ? null : Buffer.from(envelope.innerHashBytes).toString("hex"),
    successful,
    body: transactionBody(envelope, applied.verdict),
    signatures: signatureTexts(envelope.outerSignatures),
    innerSignatures: envelope.isFeeBump ? signatureTexts(inner.signatures) : [],
    innerMaxFee: inner.fee,
    operations: [],
    participants: participantsOf(envelope, applied),
    resultCodes: resultCodes(applied.verdict),
  };
  for (const [i, { operation: rule, applied: outcome }] of applied.operations.entries()) {
    const operation: HistoryOperation = {
      id: toOperationId(context.ledger, order, i + 1),
      transaction,
      source: rule.source,
      type: rule.type,
      typeI: rule.typeI,
      pays: rule.pays,
      details: rule.details(successful ? outcome : null),
      effects: successful ? outcome.effects : [],
      participants: unique([rule.source, ...rule.participants()]),
    };
    transaction.operations.push(operation);
    if (successful) for (const move of outcome.moves) credits.note(operation, move);
  }
  return transaction;
}

/** The header that closes over the transactions. */
export function closeHeader(
  previous: HistoryLedger | null,
  sequence: number,
  closedAt: number,
  transactions: readonly HistoryTransaction[],
): HistoryLedger {
  const succeeded = transactions.filter((transaction) => transaction.successful);
  const count = (list: readonly HistoryTransaction[]) =>
    list.reduce((sum, transaction) => sum + transaction.operations.length, 0);
  const previousHash = previous?.hash ?? "0".repeat(64);
  const digest = createHash("sha256").update(`${previousHash} ${sequence} ${closedAt}`);
  for (const transaction of transactions) digest.update(transaction.hash);
  return {
    id: toOperationId(sequence, 0, 0),
    sequence,
    hash: digest.digest("hex"),
    previousHash,
    closedAt,
    successful: succeeded.length,
    failed: transactions.length - succeeded.length,
    operations: count(succeeded),
    allOperations: count(transactions),
    feePool: transactions.reduce(
      (sum, transaction) => sum + BigInt(String(transaction.body.fee_charged)),
      previous?.feePool ?? 0n,
    ),
  };
}

function participantsOf(envelope: Envelope, applied: AppliedTransaction): string[] {
  const operations = applied.operations.flatMap(({ operation }) => [
    operation.source,
    ...operation.participants(),
  ]);
  return unique([envelope.transaction.source, envelope.feeSource, ...operations]);
}

function unique(addresses: readonly string[]): string[] {
  return [...new Set(addresses.map(baseAccount))];
}
