import type { SessionId } from "../entities/checkout-session.js";
import type { CreditFacts, VerdictWord } from "../entities/credit-facts.js";
import type { EventType } from "../entities/outbox-event.js";
import type { ExceptionReason } from "../entities/payment-exception.js";
import type { Credit } from "../stellar/credit.js";
import { creditKeyText } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import { eventIdOf } from "./event-id.js";

/** What a merchant is told, ready for the outbox. */
export type Event = {
  readonly id: string;
  readonly type: EventType;
  /** A session's id or a credit's key: a type is told of a subject once. */
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

/** `payment.confirmed`: told once per session, when it is paid. */
export function paymentConfirmed(credit: ToldCredit, sessionId: SessionId, surplus: Stroops): Event {
  return eventOf("payment.confirmed", sessionId, {
    session_id: sessionId,
    ...creditFacts(credit),
    surplus: formatStroops(surplus),
    paid_at: credit.closedAt.toISOString(),
  });
}

/** `session.expired`: told once; a payment whose ledger closed in time can still follow. */
export function sessionExpired(sessionId: SessionId, expiredAt: Date): Event {
  return eventOf("session.expired", sessionId, {
    session_id: sessionId,
    expired_at: expiredAt.toISOString(),
  });
}

/** `session.cancelled`: told once; money that comes all the same is `late`. */
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
 * whoever writes it writes to their own people, and receivers pass events on.
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

type ToldCredit = Omit<CreditFacts, "closedAt"> & { readonly closedAt: Date };

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
