import type { HorizonRoot } from "../horizon/reach.js";
import { describeHole, findHistoryHole, reachesPast } from "../horizon/reach.js";
import type { TransactionAnswer } from "../horizon/read-transaction.js";
import { isSpent } from "../horizon/result-code.js";
import type { Movement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";

/** A transaction that was submitted for a session, as the session remembers it. */
export type Submitted = {
  /** Upper time bound of its envelope; null where it has none, which nothing of ours submits. */
  readonly maxTime: Date | null;
  /** Whatever it did lies after this operation. */
  readonly after: OperationId;
};

export type Judgement =
  /** It is in a ledger: what it credited is settled like any other credit. */
  | { readonly kind: "settle"; readonly movements: readonly Movement[] }
  /** It can't pay any more. The code is null where no ledger has used it up. */
  | { readonly kind: "roll_back"; readonly resultCode: string | null; readonly why: string }
  | { readonly kind: "wait"; readonly why: string }
  | { readonly kind: "ask_person"; readonly why: string };

/** What the server said of its ledgers, before and after it was asked for the transaction. */
export type Roots = { readonly before: HorizonRoot; readonly after: HorizonRoot };

/**
 * Decides what a transaction that was submitted for a session has come to. Pure. For sessions alone: to roll one back
 * too early loses no money, since a credit that comes later still pays it. A charge that has failed stays so, and asks
 * for more (src/providers/stellar/expiry.ts).
 *
 * A transaction that is not found has failed only if it can't apply any more **and** the server that does not find
 * it has every ledger in which it could have: its time bound lies behind the close of a ledger (CAP-21: it is valid
 * while closeTime <= maxTime) that this server had ingested when it answered (see reach.ts), and none was forgotten
 * that came after the session began. Behind a balancer two questions can reach two servers: what was forgotten is
 * known of one of them, so that all must keep the same history.
 */
export function judgeSubmission(submitted: Submitted, answer: TransactionAnswer, roots: Roots): Judgement {
  if (answer.kind === "applied") return { kind: "settle", movements: answer.movements };
  if (answer.kind === "failed") return judgeFailed(submitted, answer, roots);
  const hole = findHistoryHole(submitted.after, roots.after);
  if (hole !== null)
    return { kind: "ask_person", why: `its transaction can't be looked up: ${describeHole(hole)}` };
  const { maxTime } = submitted;
  if (maxTime === null) {
    return { kind: "ask_person", why: "its transaction has no time bound: it can apply at any time" };
  }
  const until = maxTime.toISOString();
  if (!reachesPast(roots.before, answer.latestLedger, maxTime)) {
    const at =
      answer.latestLedger === null ? "does not say how far it is" : `is at ledger ${answer.latestLedger}`;
    return { kind: "wait", why: `it can apply until ${until}, and the server that does not know it ${at}` };
  }
  const newest = roots.before.historyLatestLedger;
  const why = `its transaction is in no ledger, and could apply until ${until} only, before ledger ${newest}`;
  return { kind: "roll_back", resultCode: null, why };
}

function judgeFailed(
  { maxTime }: Submitted,
  { ledger, resultCode }: Extract<TransactionAnswer, { kind: "failed" }>,
  { before }: Roots,
): Judgement {
  const why = `the network put it into ledger ${ledger} and refused it: ${resultCode}`;
  if (isSpent(resultCode)) return { kind: "roll_back", resultCode, why };
  const unspent = `${why}, which leaves its sequence number to be used again`;
  if (maxTime === null || !reachesPast(before, null, maxTime)) return { kind: "wait", why: unspent };
  // The code is this one bump's: by the inner hash Horizon shows one of several, and another can have applied.
  return { kind: "roll_back", resultCode: null, why: `${unspent}, until ${maxTime.toISOString()} only` };
}
