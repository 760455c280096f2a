import {
  describeHole,
  findHistoryHole,
  type HorizonRoot,
  reachesPast,
  saysItReachesPast,
} from "../horizon/reach.js";
import { isSpent } from "../horizon/result-code.js";
import type { SourceAnswer, SubmitAnswer, TransactionAnswer } from "../horizon/transactions.js";
import type { Movement } from "../stellar/credit.js";
import type { LedgerSequence, OperationId } from "../stellar/operation-id.js";

/** A transaction that was handed in, as far as it is judged. */
export type Judged = {
  /** Upper time bound of its envelope; null where it has none, which nothing of ours submits. */
  readonly maxTime: Date | null;
  /** Whatever it did lies after this operation. */
  readonly after: OperationId;
};

/** What the network was asked about it, and what it said. */
export type Answers = {
  readonly transaction: TransactionAnswer;
  /** What a server said of its ledgers, before and after it was asked for the transaction. */
  readonly before: HorizonRoot;
  readonly after: HorizonRoot;
  /** How far its source account has got, and the sequence number that it needs; null where that was not asked. */
  readonly source: { readonly answer: SourceAnswer; readonly sequence: bigint } | null;
};

/**
 * How much is needed to call a transaction over.
 * - `likely`: for a session. To roll one back too early loses no money, since a credit that comes later still pays it.
 * - `proved`: for a charge. One that is called failed and is paid after all is the payer's loss. So an answer counts only
 *   by the ledger that it names itself: nothing bounds how far a server may lag that does not say where it is.
 */
export type Certainty = "likely" | "proved";

export type Judgement =
  /** It is in a ledger: what it credited is settled like any other credit. */
  | { readonly kind: "applied"; readonly movements: readonly Movement[] }
  /** A ledger has used it up without effect. */
  | { readonly kind: "failed"; readonly resultCode: string; readonly why: string }
  /** No ledger has it, and none will: its time is over. */
  | { readonly kind: "over"; readonly why: string }
  /** A ledger can still take it. */
  | { readonly kind: "open"; readonly why: string }
  /** Its time is over, and nothing says yet that no ledger has it. Later answers can. */
  | { readonly kind: "unproved"; readonly why: string }
  /** Of a session: no later answer of this server will say it either. A person must look. */
  | { readonly kind: "unanswerable"; readonly why: string };

/**
 * Decides what has become of a transaction that was handed in. Pure.
 *
 * A transaction that is not found is over only if it can't apply any more **and** the server that does not find it has
 * every ledger in which it could have applied: its time bound lies behind the close of a ledger (CAP-21: it is valid
 * while closeTime <= maxTime) that this server had ingested when it answered (see reach.ts), and it has forgotten none
 * after `after`. Behind a balancer two questions can reach two servers: what was forgotten is known of one of them, so
 * that all must keep the same history.
 *
 * A failure that did not spend its sequence number is no more than an absence: it can apply in another bump. The code is
 * that one bump's: by the inner hash Horizon shows one of several.
 */
export function judgeTransaction(
  { maxTime, after }: Judged,
  { transaction: answer, source, ...roots }: Answers,
  certainty: Certainty,
): Judgement {
  if (answer.kind === "applied") return { kind: "applied", movements: answer.movements };
  if (answer.kind === "failed" && isSpent(answer.resultCode)) {
    const why = `ledger ${answer.ledger} refused it: ${answer.resultCode}`;
    return { kind: "failed", resultCode: answer.resultCode, why };
  }
  const isAbsent = answer.kind === "absent";
  const latestLedger = isAbsent ? answer.latestLedger : null;
  const said = isAbsent
    ? "the server that was asked does not know it"
    : `ledger ${answer.ledger} refused it before its operations: ${answer.resultCode}`;
  const hole = findHistoryHole(after, roots.after);
  if (isAbsent && hole !== null && certainty === "likely") {
    return { kind: "unanswerable", why: `its transaction can't be looked up: ${describeHole(hole)}` };
  }
  if (maxTime === null) {
    const why = "its transaction has no time bound: it can apply at any time";
    return { kind: isAbsent ? "unanswerable" : "open", why };
  }
  const until = maxTime.toISOString();
  if (isInTime(maxTime, roots.before))
    return { kind: "open", why: `${said}, and it can apply until ${until}` };
  const reaches = certainty === "likely" ? reachesPast : saysItReachesPast;
  if ((!isAbsent || hole === null) && reaches(roots.before, latestLedger, maxTime)) {
    const why = isAbsent ? `in no ledger until ${until}` : `${said}, and could apply until ${until} only`;
    return { kind: "over", why };
  }
  if (source === null) {
    return { kind: "unproved", why: `${said}, which proves nothing: it ${position(latestLedger)}` };
  }
  const proof = provedBySource(maxTime, source, roots.before);
  if (proof.isProof)
    return { kind: "over", why: `${said}, and could apply until ${until} only: ${proof.why}` };
  const holed = hole === null ? "" : `; ${describeHole(hole)}`;
  return { kind: "unproved", why: `${said}, which proves nothing: ${proof.why}${holed}` };
}

/** Whether a ledger can still take it, by the network's clock as far as a server knows it. */
export function isInTime(maxTime: Date, { historyLatestClosedAt: closedAt }: HorizonRoot): boolean {
  return closedAt === null || closedAt <= maxTime;
}

/**
 * The proof by state: in a ledger that closed after its time bound, its account has not used its sequence number.
 *
 * An account's number only grows, and a transaction that applies raises it to its own (CAP-21 `minSeqNum` included):
 * so what lies above it was never used, whatever any server's history has forgotten.
 * - `bump_sequence` raises it too, which uses up what it passes: then this proves nothing.
 * - An account that was merged and created again begins at its new ledger's number shifted by 32 bits, and one whose
 *   number lies at or above that can't be merged (`ACCOUNT_MERGE_SEQNUM_TOO_FAR`): nothing that was used before lies
 *   above it.
 *
 * A number that is used up says only that this one or another took it, and of an account that is gone nobody can say.
 */
function provedBySource(
  maxTime: Date,
  { answer, sequence }: NonNullable<Answers["source"]>,
  root: HorizonRoot,
): { readonly isProof: boolean; readonly why: string } {
  if (!saysItReachesPast(root, answer.latestLedger, maxTime)) {
    return {
      isProof: false,
      why: `the server that was asked for its account ${position(answer.latestLedger)}`,
    };
  }
  if (answer.kind === "gone") {
    return { isProof: false, why: "its account is gone, and may have sent it before" };
  }
  if (answer.sequence >= sequence) {
    const why = `its sequence number ${sequence} is used up, by it or by another transaction`;
    return { isProof: false, why };
  }
  return { isProof: true, why: `its account is at sequence number ${answer.sequence}, before ${sequence}` };
}

function position(latestLedger: LedgerSequence | null): string {
  return latestLedger === null ? "does not say how far it is" : `is at ledger ${latestLedger}`;
}

/** What to do after a transaction was sent, by what was said to it. */
export type SubmitRule = {
  /**
   * - `await_ledger`: it is on its way, or may be: look for it until the next ledgers have closed
   * - `look_once`: it can be in a ledger already, and if it is not, waiting here would not bring it there
   * - `leave`: nothing was passed on
   */
  readonly next: "await_ledger" | "look_once" | "leave";
  /** The code of a refusal; null where the network took it, undefined where it said neither. */
  readonly refusal: string | null | undefined;
  /** Whether the server was silent: only that speaks against it. */
  readonly isSilence: boolean;
  readonly why: string;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | null;
};

/**
 * One rule per answer. Pure.
 *
 * No answer is the end of a transaction. The payer holds the envelope too: whatever the network says to us today, it can
 * be sent until its upper time bound has passed. Its end comes from the ledger, asked by hash (`judgeTransaction`).
 */
export function ruleFor(answer: SubmitAnswer): SubmitRule {
  const taken = { next: "await_ledger", refusal: null, isSilence: false, retryAfterMs: null } as const;
  switch (answer.kind) {
    case "pending":
      return { ...taken, why: "sent, and in no ledger yet" };
    case "duplicate":
      return { ...taken, why: "the network has it, in no ledger yet" };
    case "applied":
      return { ...taken, why: "in a ledger that can't be read yet" };
    case "try_again_later":
      // One that is in the queue is a duplicate; but a ledger may have it since.
      return {
        ...taken,
        next: "look_once",
        refusal: undefined,
        why: "the network takes it later: it is busy",
      };
    case "refused":
      return {
        ...taken,
        next: "look_once",
        refusal: answer.resultCode,
        why: describeRefusal(answer.resultCode),
      };
    case "not_taken": {
      const { detail: why, retryAfterMs } = answer;
      return { next: "leave", refusal: undefined, isSilence: true, why, retryAfterMs };
    }
    case "no_answer":
      return { ...taken, refusal: undefined, isSilence: true, why: answer.detail };
  }
}

/**
 * Why each code is not the end, and why the ledger is asked after it. Codes: Stellar-transaction.x,
 * TransactionResultCode, and one of Horizon's; the order of checks: stellar-core TransactionFrame::commonValid.
 */
const MEANINGS: Readonly<Record<string, string>> = {
  // Also said of one that has applied: its own number is used up. And of one whose turn has not come.
  tx_bad_seq: "it has applied, or another one of its account goes first or went instead",
  // Checked before the number: also said of one that has applied. Servers differ in how far they are.
  tx_too_late: "its time is over, which holds once a ledger has closed after it",
  tx_too_early: "its time has not come",
  // Fees fall again; and anybody may wrap it in a fee bump.
  tx_insufficient_fee: "the network is busy and asks for more: sent again, or bumped by anybody",
  tx_insufficient_balance: "its source can't pay the fee now",
  tx_no_account: "its source account does not exist now",
  // Signers of an account change; a transaction of the same payer can add one.
  tx_bad_auth: "its signatures do not suffice now",
  tx_bad_auth_extra: "it has signatures that nobody asked for now",
  tx_bad_min_seq_age_or_gap: "its account has sent something too recently",
  tx_failed: "its operations would fail now",
  tx_internal_error: "the server failed",
  transaction_malformed: "the server can't read it",
};

/** A refusal's code and what it means, such as `tx_bad_auth: its signatures do not suffice now`. */
export function describeRefusal(resultCode: string): string {
  const [code = ""] = resultCode.split(" ");
  return `${resultCode}: ${MEANINGS[code] ?? "not taken now"}`;
}
