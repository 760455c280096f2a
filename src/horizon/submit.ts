import type { AccountId, TransactionHash } from "../stellar/credit.js";
import type { HorizonClient } from "./client.js";
import { errorOfResponse, HorizonError } from "./errors.js";
import { type Fields, isFields } from "./fields.js";
import type { FormAnswer } from "./http.js";
import { resultCodeOf } from "./result-code.js";

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
