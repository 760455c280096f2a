import type { SubmitAnswer } from "../../horizon/submit.js";

/** What to do after a transaction was sent, by what was said to it. */
export type SubmitRule = {
  /**
   * - `await_ledger`: it is on its way, or may be: look for it until the next ledgers have closed
   * - `look_once`: it can be in a ledger already, and if it is not, waiting here would not bring it there
   * - `leave`: nothing was passed on
   */
  readonly next: "await_ledger" | "look_once" | "leave";
  /** What the charge is where it is in no ledger by then. Only silence speaks against the server: `unknown`. */
  readonly otherwise: "in_progress" | "unknown";
  readonly why: string;
};

/**
 * One rule per answer. Pure.
 *
 * No answer is the end of a charge. The payer holds the envelope too: whatever the network says to us today, it can be
 * sent until its upper time bound has passed. So none of them is a refusal that counting could turn into a failure,
 * and none is a decline; both come from the ledger, asked by hash (`find`).
 */
export function ruleFor(answer: SubmitAnswer): SubmitRule {
  switch (answer.kind) {
    case "pending":
      return { next: "await_ledger", otherwise: "in_progress", why: "sent, and in no ledger yet" };
    case "duplicate":
      return { next: "await_ledger", otherwise: "in_progress", why: "the network has it, in no ledger yet" };
    case "applied":
      return { next: "await_ledger", otherwise: "in_progress", why: "in a ledger that can't be read yet" };
    case "try_again_later":
      // One that is in the queue is a duplicate; but a ledger may have it since.
      return { next: "look_once", otherwise: "in_progress", why: "the network takes it later: it is busy" };
    case "refused":
      return { next: "look_once", otherwise: "in_progress", why: `${answer.resultCode}: ${meaning(answer)}` };
    case "not_taken":
      return { next: "leave", otherwise: "unknown", why: answer.detail };
    case "no_answer":
      return { next: "await_ledger", otherwise: "unknown", why: answer.detail };
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

function meaning({ resultCode }: Extract<SubmitAnswer, { kind: "refused" }>): string {
  const [code = ""] = resultCode.split(" ");
  return MEANINGS[code] ?? "not taken now";
}
