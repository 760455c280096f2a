import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { checkpoint } from "../checkpoints.js";
import type { HorizonClient } from "../horizon/client.js";
import { HorizonError, WrongNetworkError } from "../horizon/errors.js";
import type { HorizonRoot } from "../horizon/reach.js";
import { readSubmitted } from "../horizon/read-transaction.js";
import { type Sendable, submitTransaction } from "../horizon/submit.js";
import type { TransactionHash } from "../stellar/credit.js";
import {
  type Conclusion,
  concludeApplied,
  concludeFailed,
  endSubmission,
  postponeSubmission,
} from "./conclude-submission.js";
import { judgeSubmission } from "./judge-submission.js";
import { innerEnvelope } from "./read-envelope.js";
import { type ClaimedSubmission, claimSubmission } from "./submissions.js";

export type Following = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  /**
   * What a server of our network has said of its ledgers, before now: another network knows none of our transactions. It
   * can be a while ago, which only makes a look wait that need not.
   * @throws HorizonError, WrongNetworkError
   */
  readonly root: () => Promise<HorizonRoot>;
  readonly logger: Logger;
};

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
 * session meanwhile: whoever is first, the others find it done.
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
    await endSubmission(parts.dataSource, claim);
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
    const askedMs = error instanceof HorizonError ? error.retryAfterMs : null;
    await postpone(parts, claim, { refusal: undefined, askedMs });
    return "waiting";
  }
}

async function attempt(parts: Following, claim: ClaimedSubmission, signal: AbortSignal): Promise<Followed> {
  const { dataSource, root, logger } = parts;
  // Only a payer who has it too can have sent it before the first attempt, and ingest sees that.
  const judgement = claim.attempt === 1 ? null : await judge(parts, claim, signal);
  switch (judgement?.kind) {
    case "settle": {
      const conclusion = await concludeApplied(dataSource, claim, judgement.movements, signal);
      if (conclusion === "unreadable") await postpone(parts, claim, FOR_A_PERSON);
      return conclusion;
    }
    case "roll_back": {
      const resultCode = judgement.resultCode ?? claim.refusal ?? TOO_LATE;
      const conclusion = await concludeFailed(dataSource, claim, resultCode);
      logger.info({ ...factsOf(claim), resultCode }, "a transaction that was handed in can't pay any more");
      return conclusion;
    }
  }
  if (judgement === null) await root();
  const unsent = judgement?.kind === "ask_person" ? FOR_A_PERSON : UNSENT;
  await postpone(parts, claim, canPay(claim, new Date()) ? await send(parts, claim, signal) : unsent);
  return "waiting";
}

/** What the network would say to one whose time is over, and that it never took. */
const TOO_LATE = "tx_too_late";

async function judge({ horizon, root }: Following, claim: ClaimedSubmission, signal: AbortSignal) {
  const { account, maxTime, after } = claim;
  // Before the question: an answer can only be believed about ledgers that were closed when it was given.
  const before = await root();
  const answer = await readSubmitted(horizon, account, claim, signal);
  // What its server has forgotten matters once its time is over: until then it is sent again in any case.
  const isOpen = before.historyLatestClosedAt === null || before.historyLatestClosedAt <= maxTime;
  const latest = answer.kind === "absent" && !isOpen ? await horizon.root(signal) : before;
  return judgeSubmission({ maxTime, after }, answer, { before, after: latest });
}

/** What a sending tells about the next one. */
type Sent = {
  /** What the network said at the door: null where it took it, undefined where it said nothing. */
  readonly refusal: string | null | undefined;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly askedMs: number | null;
};

const UNSENT: Sent = { refusal: undefined, askedMs: null };

/** Recovery asks one. Until somebody has decided it stays as it is, and is looked at now and then. */
const FOR_A_PERSON: Sent = { refusal: undefined, askedMs: 300_000 };

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
  switch (answer.kind) {
    case "pending":
    case "duplicate":
    case "applied":
      return { refusal: null, askedMs: null };
    case "refused":
      return { refusal: answer.resultCode, askedMs: null };
    case "not_taken":
      return { refusal: undefined, askedMs: answer.retryAfterMs };
    case "try_again_later":
    case "no_answer":
      return UNSENT;
  }
}

/**
 * A fee bump that the network has refused may be a stranger's, whose account has no funds: the transaction inside is sent in
 * turns with it.
 */
function sendable(claim: ClaimedSubmission): Sendable {
  const { hash, outerHash, envelope, refusal, attempt } = claim;
  if (outerHash === null || refusal === null || attempt % 2 === 1) return claim;
  return { hash, outerHash: null, envelope: innerEnvelope(envelope) };
}

async function postpone({ dataSource }: Following, claim: ClaimedSubmission, sent: Sent): Promise<void> {
  const { attempt, maxTime } = claim;
  const refusal = sent.refusal === undefined ? claim.refusal : sent.refusal;
  const waiting = {
    attempt,
    maxTime,
    refusal,
    now: new Date(),
    askedMs: sent.askedMs,
    random: Math.random(),
  };
  await postponeSubmission(dataSource, claim, lookAgainAfter(waiting), sent.refusal);
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
 * What the network says at the door that will hardly change soon (Stellar-transaction.x, by XDR's names). Also said of
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
  /** What the network has said at the door, last; null where it has refused nothing. */
  readonly refusal: string | null;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly askedMs: number | null;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/** Milliseconds until a transaction that is not known yet is sent and asked for again. Pure. */
export function lookAgainAfter(waiting: Waiting): number {
  const { maxTime, now, askedMs, random } = waiting;
  const rhythm = Math.round(usualDelay(waiting) * (1 + JITTER * random));
  const decided = maxTime.getTime() + LEDGER_MS - now.getTime();
  // A payer who waits at the page is told at once that it is over, and can pay again.
  const delay = decided > 0 ? Math.min(rhythm, decided) : rhythm;
  return Math.max(delay, askedMs ?? 0);
}

function usualDelay({ attempt, refusal }: Waiting): number {
  const isLasting = refusal !== null && LASTING.has(refusal.split(" ")[0] ?? "");
  if (isLasting && attempt > LOOKS_BEFORE_LASTING) return LASTING_MS;
  return DELAYS_MS[attempt - 1] ?? LONGEST_MS;
}
