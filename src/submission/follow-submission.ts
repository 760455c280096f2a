import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { checkpoint } from "../checkpoints.js";
import { HorizonError, WrongNetworkError } from "../horizon/errors.js";
import { type SignedTransaction, submitTransaction } from "../horizon/transactions.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { rollBackSession } from "../settlement/end-session.js";
import { type Settlement, settle } from "../settlement/settle.js";
import type { Movement, TransactionHash } from "../stellar/credit.js";
import { askNetwork, type Network } from "./ask-network.js";
import { ruleFor, type SubmitRule } from "./judge-transaction.js";
import { innerEnvelope } from "./read-envelope.js";
import { type ClaimedSubmission, claimSubmission, endSubmission, postponeSubmission } from "./submissions.js";

export type Following = Network & { readonly dataSource: DataSource; readonly logger: Logger };

/** What became of a session's transaction. */
export type Conclusion = "paid" | "applied_without_paying" | "rolled_back" | "unreadable";

/** What one attempt came to. */
export type Followed =
  | Conclusion
  /** It may still apply: sent again, or only asked for. */
  | "waiting"
  /** Its session does not wait for it any more. */
  | "ended"
  /** Held by another, or done. */
  | "not_ours";

/**
 * One attempt at a session's transaction: asks the network what became of it and concludes, or sends it, and comes
 * back later. It is asked for before it is sent again: what the network says to a sending (`tx_bad_seq` of one that
 * has applied, say) decides nothing.
 *
 * A process that dies anywhere in here leaves a lease that is taken over. Ingest and recovery may conclude the same
 * session meanwhile: the first one concludes it, and the others find it done.
 * @throws the database's error, the signal's reason
 */
export async function followSubmission(
  parts: Following,
  hash: TransactionHash,
  signal: AbortSignal,
): Promise<Followed> {
  const claim = await claimSubmission(parts.dataSource, hash);
  if (claim === null) return "not_ours";
  if (!claim.isAwaited) {
    // Ingest or recovery has concluded it.
    await endSubmission(parts.dataSource.manager, claim.hash);
    return "ended";
  }
  try {
    return await attempt(parts, claim, signal);
  } catch (error) {
    if (signal.aborted) {
      // Without this line a customer waits out a lease that a clean stop has left behind.
      await postponeSubmission(parts.dataSource, claim, 0, undefined).catch(() => undefined);
      throw signal.reason;
    }
    if (!(error instanceof HorizonError || error instanceof WrongNetworkError)) throw error;
    parts.logger.warn({ err: error, ...factsOf(claim) }, "the network could not be asked for a transaction");
    const retryAfterMs = error instanceof HorizonError ? error.retryAfterMs : null;
    await postpone(parts, claim, { refusal: undefined, retryAfterMs });
    return "waiting";
  }
}

async function attempt(parts: Following, claim: ClaimedSubmission, signal: AbortSignal): Promise<Followed> {
  const { dataSource, logger } = parts;
  // Only a payer who has it too can have sent it before the first attempt, and ingest sees that.
  if (claim.attempt === 1) await parts.root();
  const found = claim.attempt === 1 ? null : await askNetwork(parts, claim, "likely", signal);
  const judgement = found?.judgement;
  switch (judgement?.kind) {
    case "applied": {
      const conclusion = await concludeApplied(dataSource, claim, judgement.movements, signal);
      if (conclusion === "unreadable") await postpone(parts, claim, FOR_A_PERSON);
      return conclusion;
    }
    case "failed":
    case "over": {
      const resultCode = judgement.kind === "failed" ? judgement.resultCode : (claim.refusal ?? TOO_LATE);
      const conclusion = await concludeFailed(dataSource, claim, resultCode);
      logger.info({ ...factsOf(claim), resultCode }, "a transaction that was handed in can't pay any more");
      return conclusion;
    }
  }
  const unsent = judgement?.kind === "unanswerable" ? FOR_A_PERSON : UNSENT;
  await postpone(parts, claim, canPay(claim, new Date()) ? await send(parts, claim, signal) : unsent);
  return "waiting";
}

/** What the network would say to one whose time is over, and that it never took. */
const TOO_LATE = "tx_too_late";

const STATUS = `SELECT status FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE`;

/**
 * It applied: what it brought is settled like any other credit, by ingest or here, by the first of the two. A session that it
 * did not pay (too little came, say: its credit has its place) waits for another one.
 * @throws the database's error; safe to repeat, against ingest and recovery too
 */
async function concludeApplied(
  dataSource: DataSource,
  { hash, sessionId }: ClaimedSubmission,
  movements: readonly Movement[],
  signal: AbortSignal,
): Promise<Conclusion> {
  const settlements = await settle(dataSource, movements, { signal });
  return inSerializableTransaction(dataSource, async (runner): Promise<Conclusion> => {
    const [session]: { status: string }[] = await runner.query(STATUS, [sessionId]);
    // It is not known whether it has paid: recovery finds the session, and asks a person.
    if (session?.status === "processing" && settlements.some(isUnreadable)) return "unreadable";
    await rollBackSession(runner, sessionId, hash, "tx_success");
    await endSubmission(runner.manager, hash);
    return session?.status === "paid" ? "paid" : "applied_without_paying";
  });
}

function isUnreadable(settlement: Settlement): boolean {
  const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
  return outcome.kind === "exception" && outcome.reason === "unreadable";
}

/** It can't pay any more: its session is pending again, and says why. @param resultCode what the network said to it */
async function concludeFailed(
  dataSource: DataSource,
  { hash, sessionId }: ClaimedSubmission,
  resultCode: string,
): Promise<Conclusion> {
  return inSerializableTransaction(dataSource, async (runner): Promise<Conclusion> => {
    await rollBackSession(runner, sessionId, hash, resultCode);
    await endSubmission(runner.manager, hash);
    return "rolled_back";
  });
}

/** What a sending says about the next one. */
type Sent = Pick<SubmitRule, "refusal" | "retryAfterMs">;

const UNSENT: Sent = { refusal: undefined, retryAfterMs: null };

/** Recovery asks one. Until somebody has decided it stays as it is, and is looked at now and then. */
const FOR_A_PERSON: Sent = { refusal: undefined, retryAfterMs: 300_000 };

/** Money that can only come too late would be the payer's loss. What was sent before may still apply. */
function canPay({ maxTime, lastMoment }: ClaimedSubmission, now: Date): boolean {
  return now <= maxTime && now <= lastMoment;
}

async function send(
  { horizon, logger }: Following,
  claim: ClaimedSubmission,
  signal: AbortSignal,
): Promise<Sent> {
  await checkpoint("submission.before-send");
  const answer = await submitTransaction(horizon, sendable(claim), signal);
  await checkpoint("submission.after-send");
  logger.debug({ ...factsOf(claim), answer }, "transaction sent to the network");
  return ruleFor(answer);
}

/**
 * A fee bump that the network has refused may be a stranger's, whose account has no funds: the transaction inside is sent in
 * turns with it.
 */
function sendable(claim: ClaimedSubmission): SignedTransaction {
  const { outerHash, envelope, refusal, attempt } = claim;
  if (outerHash === null || refusal === null || attempt % 2 === 1) return claim;
  return { ...claim, outerHash: null, envelope: innerEnvelope(envelope) };
}

async function postpone({ dataSource }: Following, claim: ClaimedSubmission, sent: Sent): Promise<void> {
  const { attempt, maxTime } = claim;
  const refusal = sent.refusal === undefined ? claim.refusal : sent.refusal;
  const { retryAfterMs } = sent;
  const random = Math.random();
  const delayMs = lookAgainAfter({ attempt, maxTime, refusal, now: new Date(), retryAfterMs, random });
  await postponeSubmission(dataSource, claim, delayMs, sent.refusal);
}

function factsOf({ hash, sessionId: session, attempt }: ClaimedSubmission) {
  return { session, hash, attempt };
}

const SECOND = 1_000;

/**
 * How long after its first, second, … attempt a transaction is looked at again. A ledger closes every 5 s or so: the
 * customer waits at the page, and hears of it in the ledger's second.
 */
const DELAYS_MS: readonly number[] = [2, 2, 3, 3, 5, 5, 10, 15].map((seconds) => seconds * SECOND);

const LONGEST_MS = 30 * SECOND;

/**
 * Refusals that will hardly change soon (Stellar-transaction.x, by XDR's names). Also said of
 * what has applied, and of what goes after another one of its account: so the first looks are in the usual rhythm.
 */
const LASTING = new Set([
  "tx_bad_auth",
  "tx_bad_auth_extra",
  "tx_bad_seq",
  "tx_no_account",
  "tx_malformed",
  "tx_missing_operation",
  "tx_not_supported",
  "tx_bad_sponsorship",
  "tx_soroban_invalid",
  "transaction_malformed",
]);

/** Three ledgers or so. */
const LOOKS_BEFORE_LASTING = 5;

/** Every look costs Horizon's rate limit, and what will never apply costs its sender nothing. */
const LASTING_MS = 300 * SECOND;

/** After its last moment a ledger must close, and be ingested, before its absence proves anything. */
const LEDGER_MS = 7 * SECOND;

/** Up to this much is added: what was handed in together must not be asked for together. */
const JITTER = 0.2;

export type Waiting = {
  /** Attempts so far. */
  readonly attempt: number;
  readonly maxTime: Date;
  readonly now: Date;
  /** The code of the last refusal; null where the network has refused nothing. */
  readonly refusal: string | null;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | null;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/** Milliseconds until a transaction that is not known yet is sent and asked for again. Pure. */
export function lookAgainAfter(waiting: Waiting): number {
  const { maxTime, now, retryAfterMs, random } = waiting;
  const rhythm = Math.round(usualDelay(waiting) * (1 + JITTER * random));
  const decided = maxTime.getTime() + LEDGER_MS - now.getTime();
  // A payer who waits at the page learns at once that it is over, and can pay again.
  const delay = decided > 0 ? Math.min(rhythm, decided) : rhythm;
  return Math.max(delay, retryAfterMs ?? 0);
}

function usualDelay({ attempt, refusal }: Waiting): number {
  const isLasting = refusal !== null && LASTING.has(refusal.split(" ")[0] ?? "");
  if (isLasting && attempt > LOOKS_BEFORE_LASTING) return LASTING_MS;
  return DELAYS_MS[attempt - 1] ?? LONGEST_MS;
}
