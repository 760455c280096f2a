import type { SessionId } from "../entities/checkout-session.js";

/** The kinds of findings. */
export type FindingKind =
  | "processing_too_long"
  | "paid_without_payment"
  | "payment_without_paid"
  | "paid_not_announced"
  | "outbox_not_relayed"
  | "delivery_stuck"
  | "entries_abandoned"
  | "consumers_gone"
  | "entry_forged"
  | "watermark_behind"
  | "idempotency_key_unanswered"
  | "worker_standing"
  | "charge_contradicted";

/** The action that was taken; `needs_person`: none, since only a person can decide. */
export type FindingAction =
  | "settled"
  | "rolled_back"
  | "payment_supplied"
  | "marked_paid"
  | "announced"
  | "relayed"
  | "sent_again"
  | "removed"
  | "advanced"
  | "restarted"
  | "needs_person";

/** Values as JSON holds them. */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export type Finding = {
  readonly kind: FindingKind;
  /** A session's id, an account, a queue: what it is about. */
  readonly subject: string;
  readonly sessionId?: SessionId;
  readonly action: FindingAction;
  /** For people: what was found and what was done, or what they can do. */
  readonly detail: string;
  /** Ids, hashes, and what Horizon answered. */
  readonly evidence: Facts;
  readonly before: Facts;
  readonly after: Facts;
};

/** A finding about a session, which names it as its subject. */
export function aboutSession(id: SessionId, finding: Omit<Finding, "subject" | "sessionId">): Finding {
  return { subject: id, sessionId: id, ...finding };
}
