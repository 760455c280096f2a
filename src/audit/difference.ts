/** Everything that an audit can find, and what a person does about it. */
export const REMEDIES = {
  missing:
    "Horizon has a credit that the books lack: check that ingest runs, then `paidonce audit` again; if it stays, call support.",
  unknown:
    "The books have a credit that the network does not know: somebody wrote to the database. Keep a copy, then restore.",
  altered:
    "The books tell a credit differently than the network: somebody wrote to the database. Keep a copy, then restore.",
  misplaced:
    "A credit is not in exactly one place: somebody wrote to the database. Keep a copy, then restore.",
  wrong_session: "A payment is of a session that its credit does not name: somebody wrote to the database.",
  wrong_charge:
    "A payment is of a charge whose transaction did not bring it, or that has failed: somebody wrote to the database. Keep a copy, then restore.",
  charge_missed:
    "A credit does not pay the charge that its transaction was handed in for: keep a copy of the database, and call support.",
  charge_wrongly_failed:
    "A charge was called failed, and its transaction has paid: the credit is an exception. Tell its merchant before they charge again; refund it or let them deliver.",
  charge_unpaid:
    "A charge on the network has succeeded and nothing has paid it: see this account's other differences first (`unreadable`: replay it). Deliver nothing for it before.",
  charge_not_ended:
    "A charge has payments and has not succeeded: somebody wrote to the database. Its merchant was not told; keep a copy, then call support.",
  charge_sum:
    "A charge's payments are not its amount: see this account's other differences first (`unreadable`: replay it, then audit again).",
  charge_not_announced:
    "A charge has succeeded and there is no charge.succeeded event: somebody wrote to the database. Tell its merchant.",
  not_conserved:
    "An asset's credits are not its payments and exceptions: see the other differences of this account.",
  balance_unexplained:
    "A balance is not what the network's own effects and fees make it: audit again; if it stays, keep the output and call support. `--from` a ledger begins anew there.",
  unreadable: "A credit could not be read: `paidonce dead-letters replay`, then audit again.",
  unpaid: "A session has a payment and is not paid: `paidonce recover` marks it paid, then audit again.",
  no_payment:
    "A session is paid without a payment: `paidonce recover` looks for its credit on the network. Deliver nothing for it before.",
  not_announced:
    "A paid session has no payment.confirmed event: its merchant was not told. `paidonce recover` tells them now.",
  announced_unpaid:
    "A payment.confirmed event is of a session that has no payment: somebody wrote to the database.",
} as const;

export type DifferenceKind = keyof typeof REMEDIES;

/** One thing in which the books and the network, or the books and themselves, do not agree. */
export type Difference = {
  readonly kind: DifferenceKind;
  /** A credit's key (`<operation id>-<move index>`), a session's or a charge's id, or an asset. */
  readonly subject: string;
  readonly detail: string;
};
