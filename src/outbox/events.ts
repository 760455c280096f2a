import { hash } from "node:crypto";
import type { Charge } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { CreditFacts, ExceptionReason, VerdictWord } from "../entities/credit.js";
import type { EventType } from "../entities/outbox-event.js";
import { type Credit, creditKeyText } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";

/** An event for a merchant, ready for the outbox. */
export type Event = {
  readonly id: string;
  readonly type: EventType;
  /** A session's id, a charge's id or a credit's key: a subject has one event of each type. */
  readonly subject: string;
  /**
   * JSON text, built once and sent byte for byte: no value in it may come from a clock of ours. What the merchant has said
   * of the session or charge is added by `ofSession` and `ofCharge` where it is written.
   */
  readonly body: string;
};

/** Builds an event. The same type and subject give the same id, for ever. */
export function eventOf(type: EventType, subject: string, data: Readonly<Record<string, unknown>>): Event {
  const id = eventIdOf(`${type} ${subject}`);
  return { id, type, subject, body: JSON.stringify({ id, type, data }) };
}

/** `payment.confirmed`: one per session, when it is paid. */
export function paymentConfirmed(credit: ReportedCredit, sessionId: SessionId, surplus: Stroops): Event {
  return eventOf("payment.confirmed", sessionId, {
    session_id: sessionId,
    ...creditFacts(credit),
    surplus: formatStroops(surplus),
    paid_at: credit.closedAt.toISOString(),
  });
}

/** `session.expired`: one per session; a payment whose ledger closed in time can still follow. */
export function sessionExpired(sessionId: SessionId, expiredAt: Date): Event {
  return eventOf("session.expired", sessionId, {
    session_id: sessionId,
    expired_at: expiredAt.toISOString(),
  });
}

/** `session.cancelled`: one per session; money that comes all the same is `late`. */
export function sessionCancelled(sessionId: SessionId): Event {
  return eventOf("session.cancelled", sessionId, { session_id: sessionId });
}

/** Why a credit settled nothing, as `decide` in src/settlement says it. */
export type RaisedException = {
  readonly reason: ExceptionReason;
  readonly sessionId: SessionId | null;
  readonly detail: string;
};

/** `exception.raised`: money came that settled nothing. */
export function exceptionRaised(credit: Credit, outcome: RaisedException): Event {
  return eventOf("exception.raised", creditKeyText(credit), {
    reason: outcome.reason,
    session_id: outcome.sessionId,
    detail: outcome.detail,
    ...creditFacts(credit),
    closed_at: credit.closedAt.toISOString(),
  });
}

const DECIDED = {
  accept: "exception.accepted",
  refund: "exception.refund_owed",
  dismiss: "exception.dismissed",
} as const satisfies Record<VerdictWord, EventType>;

/**
 * `exception.accepted`, `.refund_owed` (the amount, to its sender) or `.dismissed`: a person has decided. Without the note:
 * a note is written for the merchant's own people, and receivers pass events on.
 */
export function exceptionDecided(
  exception: CreditFacts & {
    readonly reason: ExceptionReason;
    readonly sessionId: SessionId | null;
    readonly detail: string;
  },
  verdict: VerdictWord,
  decidedBy: string,
): Event {
  return eventOf(DECIDED[verdict], creditKeyText(exception), {
    reason: exception.reason,
    session_id: exception.sessionId,
    detail: exception.detail,
    ...creditFacts(exception),
    closed_at: exception.closedAt?.toISOString() ?? null,
    decided_by: decidedBy,
  });
}

/**
 * `webhook.test`: asked for by the merchant, and for one endpoint alone.
 * @param unique another one each time: each test is an event of its own
 */
export function webhookTest(endpointId: string, unique: string): Event {
  return eventOf("webhook.test", `${endpointId}/${unique}`, { endpoint_id: endpointId });
}

type ReportedCredit = Omit<CreditFacts, "closedAt"> & { readonly closedAt: Date };

function creditFacts(credit: Omit<CreditFacts, "closedAt">): Record<string, unknown> {
  return {
    credit: creditKeyText(credit),
    transaction_hash: credit.transactionHash,
    account: credit.account,
    from: credit.from,
    asset: credit.asset,
    amount: credit.amount === null ? null : formatStroops(credit.amount),
  };
}

/**
 * Event ids are UUIDv5 in this namespace, of the event's type and subject: the same payment gives the same
 * event id in every replica and after Postgres was rebuilt, which is what a receiver deduplicates by (G5).
 * Never change it.
 */
export const EVENT_NAMESPACE = "6f1f3f0e-6a55-4d0c-9d3b-0f8a3a6c2b51";

const NAMESPACE_BYTES = Buffer.from(EVENT_NAMESPACE.replaceAll("-", ""), "hex");

/**
 * The UUIDv5 of a name (RFC 9562, 5.5). By Node's own hash: the `uuid` package, which makes all other ids, takes five times
 * as long for this one, 7 % of what a consumer does.
 */
export function eventIdOf(name: string): string {
  const hex = hash("sha1", Buffer.concat([NAMESPACE_BYTES, Buffer.from(name)]), "hex");
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The facts of a charge that its events carry. Nothing of its payload, and no time of a clock of ours. */
export type ReportedCharge = Pick<
  Charge,
  "id" | "reference" | "provider" | "amount" | "currency" | "asset" | "providerId"
>;

/** `charge.created`: it was accepted, and will be charged. */
export function chargeCreated(charge: ReportedCharge): Event {
  return event("charge.created", charge, {});
}

/** `charge.succeeded`: the provider has the money. One per charge. */
export function chargeSucceeded(charge: ReportedCharge): Event {
  return event("charge.succeeded", charge, {});
}

/** `charge.failed`: nothing was charged, and nothing will be. One per charge. */
export function chargeFailed(charge: ReportedCharge, code: string, detail: string): Event {
  return event("charge.failed", charge, { failure_code: code, failure_detail: detail });
}

/** `charge.unknown`: nobody knows yet whether it was charged. `charge.succeeded` or `charge.failed` follows. */
export function chargeUnknown(charge: ReportedCharge): Event {
  return event("charge.unknown", charge, {});
}

/** `charge.cancelled`: by the merchant, before anything was sent. */
export function chargeCancelled(charge: ReportedCharge): Event {
  return event("charge.cancelled", charge, {});
}

function event(type: EventType, charge: ReportedCharge, more: Readonly<Record<string, unknown>>): Event {
  return eventOf(type, charge.id, {
    charge_id: charge.id,
    reference: charge.reference,
    provider: charge.provider,
    // Known at the end alone: an event of the beginning must be the same whoever writes it, and whenever.
    ...(type === "charge.succeeded" ? { provider_id: charge.providerId } : {}),
    amount: formatStroops(charge.amount),
    currency: charge.currency,
    asset: charge.asset,
    ...more,
  });
}
