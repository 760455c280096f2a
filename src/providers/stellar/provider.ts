import { z } from "zod";
import { sleep } from "../../backoff.js";
import type { ChargeId } from "../../entities/charge.js";
import type { HorizonClient } from "../../horizon/client.js";
import { HorizonError, WrongNetworkError } from "../../horizon/errors.js";
import { isSpent } from "../../horizon/result-code.js";
import { readSubmitted, submitTransaction } from "../../horizon/transactions.js";
import { type MemoKey, memoParts } from "../../stellar/memo.js";
import { referenceOfKey } from "../../stellar/reference.js";
import { askNetwork } from "../../submission/ask-network.js";
import {
  type Charged,
  type CheckedTransaction,
  chargeMemo,
  checkCharge,
} from "../../submission/check-payment.js";
import { describeRefusal, ruleFor, type SubmitRule } from "../../submission/judge-transaction.js";
import { EnvelopeError, type ReadEnvelope, readEnvelope } from "../../submission/read-envelope.js";
import type { Submission } from "../../submission/submissions.js";
import {
  type Acceptance,
  type Acceptor,
  type ChargeOrder,
  type ChargeOutcome,
  ChargeRefusedError,
  type ChargeRequest,
  type FindOutcome,
  type InProgress,
  type Provider,
} from "../provider.js";

export type StellarOptions = {
  readonly horizon: HorizonClient;
  /** The network that Horizon must serve: what another one does not know proves nothing. */
  readonly passphrase: string;
  /** The transaction that was handed in for a charge. */
  readonly submissionOf: (id: ChargeId) => Promise<Submission | null>;
  /** How long `charge` may take before it stops looking for the ledger, in milliseconds. */
  readonly awaitMs?: number;
  /** Between two looks, in milliseconds. */
  readonly lookEveryMs?: number;
};

/** Two ledgers. A worker that waits longer keeps others waiting; `find` comes back anyway. */
const AWAIT_MS = 12_000;

/** From the time bound to a ledger that closed after it and was ingested. */
const LEDGER_AFTER_MS = 12_000;

/** Each look counts against the server's rate limit: 3,600 an hour by default. */
const LOOK_EVERY_MS = 2_000;

/**
 * Charges by the payer's signed transaction. The envelope is the key: it can apply once, however often and by whom it is sent,
 * and its hash is known before it is sent, so there is nothing to prepare.
 *
 * Never `refused`: that a server takes nothing today says nothing of what the payer does with the same envelope.
 */
export class StellarProvider implements Provider {
  readonly name = STELLAR;

  constructor(private readonly options: StellarOptions) {}

  /** Sends it, and looks for its ledger for a while. */
  async charge({ id }: ChargeOrder, signal: AbortSignal): Promise<ChargeOutcome> {
    return await answered(signal, async () => {
      const { horizon, submissionOf, awaitMs = AWAIT_MS } = this.options;
      const until = performance.now() + awaitMs;
      const submission = await submissionOf(id);
      if (submission === null) return NO_TRANSACTION;
      const rule = ruleFor(await submitTransaction(horizon, submission, signal));
      const outcome = await this.#look(submission, rule, until, signal);
      return outcome ?? onItsWay(submission, rule);
    });
  }

  /** Asks the ledgers by hash and, where they hold nothing of it, whether they still could. */
  async find({ id }: ChargeOrder, signal: AbortSignal): Promise<FindOutcome> {
    return await answered(signal, async () => {
      const { horizon, passphrase, submissionOf } = this.options;
      const submission = await submissionOf(id);
      if (submission === null) return NO_TRANSACTION;
      const network = { horizon, passphrase, root: () => horizon.assertNetwork(passphrase, signal) };
      const { judgement } = await askNetwork(network, submission, "proved", signal);
      switch (judgement.kind) {
        case "applied":
          return { kind: "succeeded", providerId: submission.hash, movements: judgement.movements };
        case "failed":
          return failed(judgement.resultCode);
        case "over":
          return expired(judgement.why, submission);
        // While a ledger can still take it, sending it again is what helps.
        case "open":
          return { kind: "absent", detail: judgement.why };
        // Later answers can prove more. Where none ever does, a person closes the charge.
        case "unproved":
        case "unanswerable":
          return { kind: "in_progress", detail: judgement.why };
      }
    });
  }

  /** @returns null where it is in no ledger as far as one can see */
  async #look(
    submission: Submission,
    { next }: SubmitRule,
    until: number,
    signal: AbortSignal,
  ): Promise<ChargeOutcome | null> {
    const { lookEveryMs = LOOK_EVERY_MS } = this.options;
    if (next === "leave") return null;
    for (;;) {
      const outcome = await this.#lookOnce(submission, signal);
      const isOver = next === "look_once" || performance.now() + lookEveryMs > until;
      if (outcome !== null || isOver) return outcome;
      await sleep(lookEveryMs, signal);
      signal.throwIfAborted();
    }
  }

  async #lookOnce(submission: Submission, signal: AbortSignal): Promise<ChargeOutcome | null> {
    try {
      const answer = await readSubmitted(this.options.horizon, submission.account, submission, signal);
      if (answer.kind === "applied") {
        return { kind: "succeeded", providerId: submission.hash, movements: answer.movements };
      }
      return answer.kind === "failed" && isSpent(answer.resultCode) ? failed(answer.resultCode) : null;
    } catch (error) {
      // Behind a balancer one server knows the transaction, and the next one not yet what it paid.
      if (error instanceof HorizonError && error.kind === "behind") return null;
      throw error;
    }
  }
}

const NO_TRANSACTION = { kind: "unknown", detail: "no transaction is stored for this charge" } as const;

/**
 * An attempt that ran out of time, or whose server did not answer, is unknown. One that is still under way is
 * `in_progress`. An error that has no rule here is thrown, and counts as unknown.
 */
async function answered<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | Unanswered> {
  try {
    // Without this line a transaction would be sent by an attempt whose time is over.
    signal.throwIfAborted();
    return await work();
  } catch (error) {
    if (signal.aborted) return { kind: "unknown", detail: "stopped before there was an answer" };
    if (!(error instanceof HorizonError || error instanceof WrongNetworkError)) throw error;
    const isBehind = error instanceof HorizonError && error.kind === "behind";
    return { kind: isBehind ? "in_progress" : "unknown", detail: error.message };
  }
}

type Unanswered = { readonly kind: "in_progress" | "unknown"; readonly detail: string };

/** What it is after it was sent, as long as no ledger is known to have it. */
function onItsWay(submission: Submission, { isSilence, why, refusal }: SubmitRule): ChargeOutcome {
  if (isSilence) return { kind: "unknown", detail: why };
  // That its time is over is no reason why it was not taken before.
  const isNews = refusal !== undefined && refusal !== "tx_too_late";
  return { kind: "in_progress", detail: why, ...(isNews ? { refusal } : {}), ...decidedBy(submission) };
}

/**
 * Once a ledger has closed after its time bound it is decided. By this machine's clock, which only says when to ask: a
 * bound that has passed is asked about on the usual schedule, as the network may be behind.
 */
function decidedBy({ maxTime }: Submission): Pick<InProgress, "askAfterMs"> {
  const left = maxTime.getTime() - Date.now();
  return left > 0 ? { askAfterMs: left + LEDGER_AFTER_MS } : {};
}

function failed(resultCode: string) {
  return { kind: "declined", code: "transaction_failed", detail: resultCode } as const;
}

/** A charge that was left to expire has a reason, and that it expired is not it. */
function expired(detail: string, { refusal }: Submission) {
  const declined = { kind: "declined", code: "transaction_expired", detail } as const;
  if (refusal === null) return declined;
  const sentence = `${detail}; the last time that it was sent, the answer was ${describeRefusal(refusal)}`;
  return { ...declined, sentence };
}

/** By this name charges ask for it. */
const STELLAR = "stellar";

/** Strict: a misspelt field would be a wish that nobody hears. */
const payloadSchema = z.strictObject({ transaction: z.string() });

/** Takes charges that bring the payer's signed transaction along, as `payload.transaction` in base64. */
export class StellarAcceptor implements Acceptor {
  readonly name = STELLAR;

  /** @param passphrase of the network that it must be signed for */
  constructor(private readonly passphrase: string) {}

  accept(request: ChargeRequest, now: Date): Acceptance {
    const payload = payloadSchema.safeParse(request.payload);
    if (!payload.success) {
      throw new ChargeRefusedError(
        "payload",
        'the payload of a stellar charge is { "transaction": "<signed TransactionEnvelope in base64>" }',
      );
    }
    const charged = chargedOf(request);
    const envelope = refusing(() => readEnvelope(payload.data.transaction, this.passphrase));
    const memoKey = chargeMemo(request.merchantId, request.reference);
    const acceptance = acceptanceOf(envelope, charged, now);
    if (isBound(acceptance.submission, memoKey)) return { ...acceptance, memoKey };
    return { ...acceptance, memoKey, unbound: unboundBy(memoKey) };
  }
}

/** Whether all that a transaction brings the account carries this memo. */
function isBound({ references }: CheckedTransaction, memoKey: MemoKey): boolean {
  return references.length === 1 && references[0] === referenceOfKey(memoKey);
}

function unboundBy(memoKey: MemoKey): ChargeRefusedError {
  const { memo } = memoParts(memoKey);
  if (memo === null) throw new Error(`a charge's memo is a memo, and not ${memoKey}`);
  return new ChargeRefusedError(
    "payload.transaction",
    `the transaction does not carry this charge's memo, which is the ${memo.type} ${memo.value}. A signature does not say what it is for: have it signed with that memo. But if this transaction was sent already, nobody should sign another one: its money comes as an exception, which a person decides about`,
    { code: "wrong_memo", memo_hash: memo.value },
  );
}

function acceptanceOf(envelope: ReadEnvelope, charged: Charged, now: Date): OfTransaction {
  try {
    const submission = refusing(() => checkCharge(envelope, charged, now));
    // The envelope lives in `submissions` alone: stored twice, one of the two could be another.
    return { payload: {}, providerId: submission.hash, submission };
  } catch (error) {
    const isLate = error instanceof ChargeRefusedError && error.facts.code === "expires_too_soon";
    if (!isLate || envelope.maxTime === null) throw error;
    // Its payer may have sent it in time: told to sign another one, they would pay twice.
    const inTime = new Date(envelope.maxTime.getTime() - MINUTE_MS);
    const submission = refusing(() => checkCharge(envelope, charged, inTime));
    return { payload: {}, providerId: submission.hash, submission, onlyIfApplied: error };
  }
}

type OfTransaction = Acceptance & { readonly submission: CheckedTransaction };

const MINUTE_MS = 60_000;

function refusing<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    throw new ChargeRefusedError("payload.transaction", error.message, { code: error.code });
  }
}

function chargedOf({ asset, account, amount, currency }: ChargeRequest): Charged {
  if (currency !== null || asset === null) {
    throw new ChargeRefusedError("asset", "a stellar charge names an asset, and no currency");
  }
  if (account === null) {
    throw new ChargeRefusedError("account", "a stellar charge names the receiving account");
  }
  return { account, asset, amount };
}
