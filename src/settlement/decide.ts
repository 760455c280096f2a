import type { Charge, ChargeId } from "../entities/charge.js";
import type { CheckoutSession, SessionId } from "../entities/checkout-session.js";
import type { ExceptionReason } from "../entities/credit.js";
import type { Credit } from "../stellar/credit.js";
import { describeMemo } from "../stellar/memo.js";
import { referenceOf, referenceOfKey } from "../stellar/reference.js";
import { formatStroops, type Stroops, toStroops } from "../stellar/stroops.js";

/** What `decide` needs to know of a session. */
export type DecidableSession = Pick<
  CheckoutSession,
  "id" | "account" | "memoKey" | "asset" | "amount" | "status" | "expiresAt" | "graceSeconds"
>;

/** What `decide` needs to know of a charge. */
export type DecidableCharge = Pick<Charge, "id" | "account" | "memoKey" | "asset" | "status">;

/** What `decide` needs to know of a credit, or of one that is yet to come. */
export type DecidableCredit = Pick<Credit, "account" | "asset" | "amount" | "muxed" | "memo" | "closedAt">;

export type Outcome =
  | { readonly kind: "payment"; readonly sessionId: SessionId; readonly surplus: Stroops }
  /** Part or all of what its transaction was handed in for. Nothing can be left over: its sum was checked before. */
  | { readonly kind: "charge_payment"; readonly chargeId: ChargeId }
  | {
      readonly kind: "exception";
      readonly reason: ExceptionReason;
      /** The session that the credit named; null when it named none. */
      readonly sessionId: SessionId | null;
      readonly detail: string;
    };

/**
 * Decides what a credit is. Pure: no clock, no I/O; the same arguments give the same outcome in every
 * replica, for ever.
 *
 * The order of the rules is part of the contract: money that can't be accepted (wrong asset) is told apart
 * before money that a person may still accept (late, underpaid). What was handed in for a charge and carries its memo
 * pays that charge before anything else.
 *
 * @param session the session that the credit's reference names on its account, or null
 * @param credit value that reached a watched account in a successful transaction
 * @param charge the charge that the credit's transaction was handed in for, or null
 */
export function decide(
  session: DecidableSession | null,
  credit: DecidableCredit,
  charge: null,
): Exclude<Outcome, { kind: "charge_payment" }>;
export function decide(
  session: DecidableSession | null,
  credit: DecidableCredit,
  charge: DecidableCharge | null,
): Outcome;
export function decide(
  session: DecidableSession | null,
  credit: DecidableCredit,
  charge: DecidableCharge | null,
): Outcome {
  if (charge !== null && paysCharge(charge, credit)) return { kind: "charge_payment", chargeId: charge.id };
  // For whoever wonders where the money of an order went.
  const purpose = charge === null ? "" : `; its transaction was handed in for charge ${charge.id}`;
  const reference = referenceOf(credit);
  if (reference === null) {
    return exception("no_memo", null, `the payment carries no memo and no muxed id${purpose}`);
  }
  // A session is only ever paid on its own receiving account and under its own reference, whatever the caller looked up.
  const isNamed =
    session !== null && session.account === credit.account && referenceOfKey(session.memoKey) === reference;
  if (!isNamed) {
    return exception(
      "unmatched",
      null,
      `no session of this account has ${describeMemo(credit.muxed ?? credit.memo)}${purpose}`,
    );
  }
  if (session.status === "paid") {
    return exception("duplicate", session.id, "the session is already paid by another credit");
  }
  if (session.asset !== credit.asset) {
    return exception("wrong_asset", session.id, `expected ${session.asset}, got ${credit.asset}`);
  }
  if (session.status === "cancelled") {
    return exception("late", session.id, "the session was cancelled");
  }
  // Judged by the ledger, for `expired` sessions too: a job with a wrong clock can't turn a payment away.
  if (credit.closedAt.getTime() > lastMoment(session).getTime()) {
    return exception(
      "late",
      session.id,
      `the ledger closed at ${credit.closedAt.toISOString()}, the session ended at ${lastMoment(session).toISOString()}`,
    );
  }
  if (credit.amount < session.amount) {
    return exception(
      "underpaid",
      session.id,
      `expected ${formatStroops(session.amount)}, got ${formatStroops(credit.amount)}`,
    );
  }
  return { kind: "payment", sessionId: session.id, surplus: toStroops(credit.amount - session.amount) };
}

/**
 * A charge that was cancelled or has failed is over: money that comes all the same is judged like any other. So is
 * value in another asset, on another account, or without the charge's memo (charges of older versions have none).
 * Acceptance refuses a transaction that brings the account anything else, so that only a hand in the database gets there;
 * counted in, such a credit would make the charge's sum a lie.
 */
function paysCharge(charge: DecidableCharge, credit: DecidableCredit): boolean {
  const isNamed = charge.memoKey === null || referenceOfKey(charge.memoKey) === referenceOf(credit);
  return (
    isNamed &&
    charge.status !== "cancelled" &&
    charge.status !== "failed" &&
    charge.account === credit.account &&
    charge.asset === credit.asset
  );
}

/** The last ledger close time that can pay a session: its expiry plus the merchant's grace. */
export function lastMoment(session: Pick<CheckoutSession, "expiresAt" | "graceSeconds">): Date {
  return new Date(session.expiresAt.getTime() + session.graceSeconds * 1000);
}

function exception(
  reason: ExceptionReason,
  sessionId: SessionId | null,
  detail: string,
): Outcome & { kind: "exception" } {
  return { kind: "exception", reason, sessionId, detail };
}

/** The kinds of unexpected money of a session, beside its status. */
export const ANOMALIES = ["underpaid", "overpaid", "late", "duplicate", "wrong_asset"] as const;

export type Anomaly = (typeof ANOMALIES)[number];

/** What asks for a person first stands first: somebody paid twice, came too late, sent too little, or another asset. */
const PRECEDENCE = [
  "duplicate",
  "late",
  "underpaid",
  "wrong_asset",
] as const satisfies readonly ExceptionReason[];

/**
 * The second axis of a session. Pure.
 * @param surplus what arrived beyond the amount; null while nothing has paid the session
 * @param openReasons the session's exceptions that have no verdict yet: once decided, nothing is odd any more
 * @returns null where nothing is odd
 */
export function anomalyOf(surplus: Stroops | null, openReasons: readonly ExceptionReason[]): Anomaly | null {
  const asking = PRECEDENCE.find((reason) => openReasons.includes(reason));
  if (asking !== undefined) return asking;
  return (surplus ?? 0n) > 0n ? "overpaid" : null;
}
