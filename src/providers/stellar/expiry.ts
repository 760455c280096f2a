import type { HorizonRoot } from "../../horizon/reach.js";
import { findHistoryHole, saysItReachesPast } from "../../horizon/reach.js";
import type { SourceAnswer, TransactionAnswer } from "../../horizon/read-transaction.js";
import type { Kept } from "../../submission/submissions.js";

/**
 * What proves that a transaction has not applied and never will, once its upper time bound lies behind the close of a
 * ledger. A charge that is called failed and is paid after all is the payer's loss, so that either proof counts only by
 * the ledger that the answer names itself: nothing bounds how far a server behind the balancer may lag that does not say
 * where it is.
 */

/** The proof by history: a server that has every ledger in which it could be, and says so, does not know it. Pure. */
export function isInNoLedger(
  { maxTime, after }: Pick<Kept, "maxTime" | "after">,
  answer: TransactionAnswer,
  roots: { readonly before: HorizonRoot; readonly after: HorizonRoot },
): boolean {
  if (answer.kind !== "absent" || findHistoryHole(after, roots.after) !== null) return false;
  return saysItReachesPast(roots.before, answer.latestLedger, maxTime);
}

export type SourceProof = { readonly isProof: boolean; readonly why: string };

/**
 * The proof by state: in a ledger that closed after its time bound, its account has not used its sequence number. Pure.
 *
 * An account's number only grows, and a transaction that applies raises it to its own (CAP-21 `minSeqNum` included):
 * so what lies above it was never used, whatever any server's history has forgotten.
 * - `bump_sequence` raises it too, which uses up what it passes: then this proves nothing.
 * - An account that was merged and created again begins at its new ledger's number shifted by 32 bits, and one whose
 *   number lies at or above that can't be merged (`ACCOUNT_MERGE_SEQNUM_TOO_FAR`): nothing that was used before lies
 *   above it.
 *
 * A number that is used up says only that this one or another took it, and of an account that is gone nobody can say.
 * @param root what a server said of its ledgers before the question
 */
export function provedBySource(
  { maxTime, sequence }: { readonly maxTime: Date; readonly sequence: bigint },
  source: SourceAnswer,
  root: HorizonRoot,
): SourceProof {
  if (!saysItReachesPast(root, source.latestLedger, maxTime)) {
    const at =
      source.latestLedger === null ? "does not say how far it is" : `is at ledger ${source.latestLedger}`;
    return { isProof: false, why: `the server that was asked for its account ${at}` };
  }
  if (source.kind === "gone")
    return { isProof: false, why: "its account is gone, and may have sent it before" };
  if (source.sequence >= sequence) {
    return {
      isProof: false,
      why: `its sequence number ${sequence} is used up, by it or by another transaction`,
    };
  }
  return { isProof: true, why: `its account is at sequence number ${source.sequence}, before ${sequence}` };
}
