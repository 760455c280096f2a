import { Account, Operation, StrKey, TransactionBuilder } from "@stellar/stellar-sdk";
import { type Envelope, readEnvelope } from "../envelope.js";
import type { HistoryTransaction } from "../history.js";
import type { JsonObject } from "../json.js";
import type { Submission } from "../network.js";
import type { Outcome } from "../queue.js";
import { transactionRecord } from "../records/transaction-record.js";
import { resultCodes, resultXdr, type Verdict } from "../result.js";
import { type Answer, type Context, document } from "./context.js";
import { badRequest, Problem, timeout } from "./problem.js";

/** `POST /transactions`: answers when the ledger that holds the transaction has closed. */
export async function submit(context: Context): Promise<Answer> {
  const xdr = await envelopeField(context);
  const fault = context.faults.get("submit")?.outcome;
  if (fault === "lost_504" || fault === "try_again_later") throw timeout({ envelope_xdr: xdr });
  const submission = context.network.submit(xdr);
  if (submission.kind === "malformed") throw malformed(xdr);
  const answer = await settled(context, submission);
  if (fault === "applied_504") throw timeout(timeoutExtras(submission.envelope));
  if (fault === "applied_bad_seq") throw transactionFailed(submission.envelope, BAD_SEQUENCE);
  return answer;
}

/** `POST /transactions_async`: answers at once, as stellar-core's queue did. */
export async function submitAsync(context: Context): Promise<Answer> {
  const xdr = await envelopeField(context);
  const fault = context.faults.get("submit")?.outcome;
  if (fault === "lost_504") throw timeout({ envelope_xdr: xdr });
  if (fault === "try_again_later") {
    const { hash } = readEnvelope(xdr, context.network.passphrase);
    return document({ tx_status: "TRY_AGAIN_LATER", hash }, 503);
  }
  const submission = context.network.submitToCore(xdr);
  if (submission.kind === "malformed") throw malformed(xdr, { error: {} });
  if (fault === "applied_504") throw timeout(timeoutExtras(submission.envelope));
  const { envelope } = submission;
  const refused = submission.kind === "refused" ? submission.verdict : null;
  const verdict = fault === "applied_bad_seq" ? BAD_SEQUENCE : refused;
  if (verdict !== null) {
    const error = resultXdr(verdict, envelope.innerHashBytes);
    return document({ error_result_xdr: error, tx_status: "ERROR", hash: envelope.hash }, 400);
  }
  if (submission.kind === "queued") return document({ tx_status: "PENDING", hash: envelope.hash }, 201);
  return document({ tx_status: "DUPLICATE", hash: envelope.hash }, 409);
}

/** `GET|POST /friendbot?addr=`: 10,000 XLM from the root account, by an ordinary transaction. */
export async function friendbot(context: Context): Promise<Answer> {
  const { network } = context;
  const form = context.request.method === "POST" ? new URLSearchParams(await context.body()) : null;
  const address = context.url.searchParams.get("addr") ?? form?.get("addr") ?? "";
  if (!StrKey.isValidEd25519PublicKey(address)) throw badRequest("addr", "not a valid G… address");
  const source = new Account(network.root.publicKey(), network.rootSequence().toString());
  const transaction = new TransactionBuilder(source, { fee: "100", networkPassphrase: network.passphrase })
    .addOperation(Operation.createAccount({ destination: address, startingBalance: "10000" }))
    .setTimeout(0)
    .build();
  transaction.sign(network.root);
  const submission = network.submit(transaction.toEnvelope().toXdr("base64"));
  if (submission.kind === "malformed") throw new Error("friendbot's own transaction");
  return settled(context, submission);
}

const BAD_SEQUENCE: Verdict = { level: "outer", code: "tx_bad_seq", feeCharged: 0n, operations: null };

/** What could be read as an envelope. */
type Readable = Exclude<Submission, { readonly kind: "malformed" }>;

async function settled(context: Context, submission: Readable): Promise<Answer> {
  switch (submission.kind) {
    case "refused":
      throw transactionFailed(submission.envelope, submission.verdict);
    case "known":
      return applied(context, submission.envelope, submission.transaction);
    case "queued":
    case "duplicate": {
      const outcome = await within(submission.queued.outcome, context.options.submitTimeoutMs);
      if (outcome.kind === "stopped") throw timeout(timeoutExtras(submission.envelope));
      if (outcome.kind === "dropped") throw transactionFailed(submission.envelope, outcome.verdict);
      return applied(context, submission.envelope, outcome.transaction);
    }
  }
}

function applied(context: Context, envelope: Envelope, transaction: HistoryTransaction): Answer {
  if (transaction.successful) return document(transactionRecord(transaction, context.records, envelope.hash));
  throw failedProblem(envelope, transaction.resultCodes, String(transaction.body.result_xdr));
}

async function within(outcome: Promise<Outcome>, ms: number): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const timer = setTimeout(() => resolve({ kind: "stopped" }), ms);
  try {
    return await Promise.race([outcome, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Empty where there is none, which is no envelope. */
async function envelopeField(context: Context): Promise<string> {
  return new URLSearchParams(await context.body()).get("tx") ?? "";
}

function transactionFailed(envelope: Envelope, verdict: Verdict): Problem {
  return failedProblem(envelope, resultCodes(verdict), resultXdr(verdict, envelope.innerHashBytes));
}

function failedProblem(envelope: Envelope, codes: HistoryTransaction["resultCodes"], xdr: string): Problem {
  return new Problem(
    "transaction_failed",
    "Transaction Failed",
    400,
    "The transaction failed when submitted to the stellar network. The `extras.result_codes` field on this response contains further details.  Descriptions of each code can be found at: https://developers.stellar.org/api/errors/http-status-codes/horizon-specific/transaction-failed/",
    { envelope_xdr: envelope.xdr, result_codes: { ...codes }, result_xdr: xdr },
  );
}

function malformed(xdr: string, more: JsonObject = {}): Problem {
  return new Problem(
    "transaction_malformed",
    "Transaction Malformed",
    400,
    "Horizon could not decode the transaction envelope in this request. A transaction should be an XDR TransactionEnvelope struct encoded using base64.  The envelope read from this request is echoed in the `extras.envelope_xdr` field of this response for your convenience.",
    { envelope_xdr: xdr, ...more },
  );
}

function timeoutExtras(envelope: Envelope) {
  return { hash: envelope.hash, envelope_xdr: envelope.xdr };
}
