import type { AccountId, Movement, TransactionHash } from "../stellar/credit.js";
import { BEFORE_ALL, type LedgerSequence } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { decodePage } from "./decode-page.js";
import { HorizonError, isNotFound } from "./errors.js";
import { completed } from "./read-page.js";
import { isSpent, resultCodeOf } from "./result-code.js";

/** What became of a transaction, as the answering server knows it. */
export type TransactionAnswer =
  | {
      readonly kind: "applied";
      readonly ledger: LedgerSequence;
      /** What it brought to the account, in the network's order. */
      readonly movements: readonly Movement[];
    }
  /** In a ledger, and without effect. */
  | { readonly kind: "failed"; readonly ledger: LedgerSequence; readonly resultCode: string }
  /** Not in a ledger up to this one, of those that the server has; null where it does not say. */
  | { readonly kind: "absent"; readonly latestLedger: LedgerSequence | null };

/**
 * Asks for a transaction that was handed in, by its inner hash and by that of the bump it came in. By an inner hash
 * Horizon finds every bump of it and shows one, in no order that it promises (TransactionByHash: no ORDER BY): an older
 * one that failed can hide the one that has applied.
 * @throws HorizonError; no answer is never `absent`
 */
export async function readSubmitted(
  client: HorizonClient,
  account: AccountId,
  { hash, outerHash }: { readonly hash: TransactionHash; readonly outerHash: TransactionHash | null },
  signal: AbortSignal,
): Promise<TransactionAnswer> {
  const found = await readTransaction(client, account, hash, signal);
  const isEnd = found.kind === "applied" || (found.kind === "failed" && isSpent(found.resultCode));
  if (isEnd || outerHash === null) return found;
  const bump = await readTransaction(client, account, outerHash, signal);
  return bump.kind === "absent" ? found : bump;
}

/**
 * Asks for a transaction by its hash, the inner one of a fee bump as well, and reads what it brought to an account.
 * @throws HorizonError; no answer is never `absent`
 */
export async function readTransaction(
  client: HorizonClient,
  account: AccountId,
  hash: TransactionHash,
  signal: AbortSignal,
): Promise<TransactionAnswer> {
  let found: Awaited<ReturnType<HorizonClient["transaction"]>>;
  try {
    found = await client.transaction(hash, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { kind: "absent", latestLedger: error.latestLedger };
  }
  const { ledger, successful } = found;
  if (typeof ledger !== "number" || typeof successful !== "boolean") {
    throw new HorizonError("broken_body", `transaction ${hash}: no ledger, or nothing about its success`);
  }
  const at = ledger as LedgerSequence;
  if (!successful) return { kind: "failed", ledger: at, resultCode: await resultCodeOf(found.result_xdr) };
  const records = await client.transactionPayments(hash, at, signal);
  const movements: Movement[] = [];
  for (const { operationId, decoded } of decodePage(records, account, BEFORE_ALL)) {
    // Without an id it would get another key here than ingest gives it.
    if (operationId === BEFORE_ALL) {
      throw new HorizonError("broken_body", `transaction ${hash}: a record without an id`);
    }
    movements.push(...(await completed(client, decoded, signal)));
  }
  return { kind: "applied", ledger: at, movements };
}

/** The account that spends a sequence number, in the ledger that the answer names; null where it names none. */
export type SourceAnswer =
  /** `sequence`: the last one that it has used. */
  | { readonly kind: "exists"; readonly sequence: bigint; readonly latestLedger: LedgerSequence | null }
  | { readonly kind: "gone"; readonly latestLedger: LedgerSequence | null };

/**
 * Asks how far an account's sequence number has got. An answer about the ledger's state: Horizon sends `Latest-Ledger`
 * with it.
 * @throws HorizonError; no answer is never `gone`
 */
export async function readSource(
  client: HorizonClient,
  account: AccountId,
  signal: AbortSignal,
): Promise<SourceAnswer> {
  try {
    const { fields, latestLedger } = await client.account(account, signal);
    const { sequence } = fields;
    if (typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) {
      throw new HorizonError("broken_body", `account ${account}: no sequence`, { status: 200, latestLedger });
    }
    return { kind: "exists", sequence: BigInt(sequence), latestLedger };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { kind: "gone", latestLedger: error.latestLedger };
  }
}
