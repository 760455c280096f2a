import type { AccountId, Movement, TransactionHash } from "../stellar/credit.js";
import { BEFORE_ALL, type LedgerSequence } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { decodePage } from "./decode-page.js";
import { errorOfResponse, HorizonError, isNotFound } from "./errors.js";
import { type Fields, isFields } from "./fields.js";
import type { FormAnswer } from "./http.js";
import { completed } from "./read-page.js";
import { isSpent, resultCodeOf } from "./result-code.js";

/** A signed transaction that was handed in, as the network will know it. */
export type SignedTransaction = {
  /** Of a fee bump the inner one: bumped again it has another outer hash. */
  readonly hash: TransactionHash;
  /** Of a fee bump, as it was handed in; null of any other. */
  readonly outerHash: TransactionHash | null;
  /** Base64 of the TransactionEnvelope, sent as it came. */
  readonly envelope: string;
  /** The account that it pays. */
  readonly account: AccountId;
  /** Its upper time bound: it can be in no ledger that closes later (CAP-21). */
  readonly maxTime: Date;
};

/** A transaction to send, and what its answer names it by. */
type Sendable = Pick<SignedTransaction, "envelope" | "hash" | "outerHash">;

/**
 * What a server said to a transaction. None of it is the end: that is what the ledger says, asked by hash.
 *
 * - `pending`, `duplicate`: stellar-core's queue has it, since now or since before
 * - `try_again_later`: the queue does not take it now (full, another one of this account, or banned for some ledgers)
 * - `refused`: the network would not take it as it is, now; or (`/transactions` alone) a ledger took it and it failed
 * - `applied`: a ledger has it (`/transactions` alone)
 * - `not_taken`: the server answered before it passed anything on
 * - `no_answer`: it may have passed it on
 */
export type SubmitAnswer =
  | { readonly kind: "pending" }
  | { readonly kind: "duplicate" }
  | { readonly kind: "try_again_later" }
  | { readonly kind: "refused"; readonly resultCode: string }
  | { readonly kind: "applied" }
  | { readonly kind: "not_taken"; readonly detail: string; readonly retryAfterMs: number | null }
  | { readonly kind: "no_answer"; readonly detail: string };

/**
 * Sends a signed transaction: `POST /transactions_async`, and `POST /transactions` where the server has none (Horizon
 * before 2.31). The same one can be sent any number of times.
 *
 * By stellar-horizon v28, internal/actions/submit_transaction_async.go and submit_transaction.go: the asynchronous
 * answer names `tx_status` (PENDING 201, DUPLICATE 409, TRY_AGAIN_LATER 503, ERROR 400 with `error_result_xdr`); the
 * other waits for the ledger and answers 200, 400 `transaction_failed` with `result_xdr` both for what the queue and
 * for what the ledger refused, and 504 `transaction_submission_timeout` when it has waited long enough.
 * @throws the signal's reason when the caller aborts
 */
export async function submitTransaction(
  client: HorizonClient,
  transaction: Sendable,
  signal: AbortSignal,
): Promise<SubmitAnswer> {
  try {
    const form = { tx: transaction.envelope };
    const answer = await client.post("transactions_async", form, signal);
    if (!isMissing(answer)) return await readAsync(answer, transaction);
    return await readSync(await client.post("transactions", form, signal), transaction);
  } catch (error) {
    if (!(error instanceof HorizonError)) throw error;
    return { kind: "no_answer", detail: error.message };
  }
}

/** What answers of servers mean that do not know the path, or the method on it. */
const MISSING = new Set([404, 405, 501]);

function isMissing({ status, text }: FormAnswer): boolean {
  return MISSING.has(status) || jsonOf(text).type === "https://stellar.org/horizon-errors/not_implemented";
}

async function readAsync(answer: FormAnswer, transaction: Sendable): Promise<SubmitAnswer> {
  const body = jsonOf(answer.text);
  if (body.tx_status === undefined) return readProblem("POST /transactions_async", answer);
  // An answer about another transaction, from a cache say, would be believed about this one.
  if (!isOf(transaction, body))
    return { kind: "no_answer", detail: "the answer is about another transaction" };
  switch (body.tx_status) {
    case "PENDING":
      return { kind: "pending" };
    case "DUPLICATE":
      return { kind: "duplicate" };
    case "TRY_AGAIN_LATER":
      return { kind: "try_again_later" };
    case "ERROR":
      return { kind: "refused", resultCode: await resultCodeOf(body.error_result_xdr) };
    default:
      return { kind: "no_answer", detail: `tx_status ${JSON.stringify(body.tx_status)?.slice(0, 50)}` };
  }
}

async function readSync(answer: FormAnswer, transaction: Sendable): Promise<SubmitAnswer> {
  const body = jsonOf(answer.text);
  if (answer.status === 200) {
    if (isOf(transaction, body)) return { kind: "applied" };
    return { kind: "no_answer", detail: "POST /transactions: 200 without the transaction" };
  }
  const problem = errorOfResponse("POST /transactions", answer.status, answer.headers, answer.text);
  if (problem.problemType === "transaction_failed") {
    const extras = isFields(body.extras) ? body.extras : {};
    return { kind: "refused", resultCode: await resultCodeOf(extras.result_xdr) };
  }
  return readProblem("POST /transactions", answer);
}

/** Answers that Horizon gives before it asks stellar-core; every other 5xx may come after. */
const BEFORE_PASSING_ON = new Set([
  "transaction_submission_disabled",
  "transaction_malformed",
  "stale_history",
]);

function readProblem(where: string, { status, headers, text }: FormAnswer): SubmitAnswer {
  const { kind, message, problemType, retryAfterMs } = errorOfResponse(where, status, headers, text);
  // It is about this transaction, not about the server, which is well.
  if (problemType === "transaction_malformed") return { kind: "refused", resultCode: problemType };
  const isBefore = kind === "rate_limited" || (problemType !== null && BEFORE_PASSING_ON.has(problemType));
  if (isBefore) return { kind: "not_taken", detail: message, retryAfterMs };
  return { kind: "no_answer", detail: message };
}

function isOf({ hash, outerHash }: Sendable, body: Fields): boolean {
  return body.hash === hash || (outerHash !== null && body.hash === outerHash);
}

/** Empty where it is no JSON object: a proxy's page, or cut off. */
function jsonOf(text: string): Fields {
  try {
    const body: unknown = JSON.parse(text);
    return isFields(body) ? body : {};
  } catch {
    return {};
  }
}

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
async function readTransaction(
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
