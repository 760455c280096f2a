import { z } from "zod";
import type { FailureCode } from "../../entities/charge.js";
import type { ChargeOrder, FindOutcome } from "../provider.js";
import { minorUnits } from "./accept.js";

/** What we read of a PaymentIntent, from answers and from webhooks alike. */
export const intentSchema = z.object({
  id: z.string().min(1).max(255),
  object: z.literal("payment_intent"),
  status: z.string(),
  amount: z.number().int(),
  amount_received: z.number().int(),
  currency: z.string(),
  metadata: z.record(z.string(), z.string()),
  last_payment_error: z
    .object({ code: z.string().nullish(), decline_code: z.string().nullish(), message: z.string().nullish() })
    .nullish(),
});

export type Intent = z.output<typeof intentSchema>;

export type Judgement =
  | FindOutcome
  /** It has failed, and could succeed still: it has to be cancelled before anybody says so. */
  | { readonly kind: "to_cancel"; readonly code: FailureCode; readonly detail: string };

/** What the state of a PaymentIntent says of a charge (Stripe docs, "How PaymentIntents and SetupIntents work"). */
export function judgeIntent(intent: Intent, order: ChargeOrder): Judgement {
  const { id, status } = intent;
  switch (status) {
    case "succeeded": {
      const wrong = mismatchOf(intent, order);
      return wrong === null
        ? { kind: "succeeded", providerId: id }
        : { kind: "unknown", detail: `${id} has succeeded, but ${wrong}: a person has to look` };
    }
    case "processing":
      return { kind: "in_progress", detail: `${id} is processing` };
    case "requires_confirmation":
      return { kind: "absent", detail: `${id} has never been confirmed` };
    case "requires_action":
      return {
        kind: "to_cancel",
        code: "authentication_required",
        detail: "The payment wants its owner, who is not there.",
      };
    case "requires_payment_method":
      return { kind: "to_cancel", ...failureOf(intent) };
    case "canceled":
      return { kind: "declined", ...failureOf(intent) };
    default:
      // requires_capture, or a state that Stripe has invented since: nothing that we know how to end.
      return { kind: "unknown", detail: `${id} is ${status.slice(0, 50)}, which we never ask for` };
  }
}

/**
 * In what a payment differs from the charge that it is said to be of. Without this a payment of another amount, made by
 * hand under our metadata, would end a charge as paid.
 * @returns for people; null where it is the charge's
 */
export function mismatchOf(
  { amount, amount_received, currency, metadata }: Intent,
  order: Pick<ChargeOrder, "id" | "amount" | "currency">,
): string | null {
  if (metadata.charge_id !== order.id) return "its metadata names another charge";
  if (order.currency === null || currency.toUpperCase() !== order.currency) return `it is in ${currency}`;
  const wanted = minorUnits(order.currency, order.amount);
  if (wanted.kind !== "minor" || amount !== wanted.amount) return `it is over ${amount} minor units`;
  if (amount_received !== amount) return `only ${amount_received} of ${amount} minor units were received`;
  return null;
}

function failureOf({ last_payment_error: error }: Intent): { code: FailureCode; detail: string } {
  if (!error) return { code: "declined", detail: "The payment was cancelled at Stripe." };
  return {
    code: failureCodeOf(error.decline_code ?? null, error.code ?? null),
    detail: (error.message ?? "The payment was declined.").slice(0, 300),
  };
}

/**
 * Stripe's decline codes (docs, "Decline codes") and error codes (docs, "Error codes"), in the few words that merchants
 * act on. What is not listed is `declined`: the issuer gave no reason that anybody could act on, or a new one.
 */
const CODES: Readonly<Record<string, FailureCode>> = {
  insufficient_funds: "insufficient_funds",
  expired_card: "card_expired",

  authentication_required: "authentication_required",
  authentication_not_handled: "authentication_required",
  mobile_device_authentication_required: "authentication_required",
  offline_pin_required: "authentication_required",
  online_or_offline_pin_required: "authentication_required",
  payment_intent_authentication_failure: "authentication_required",
  approve_with_id: "authentication_required",

  fraudulent: "suspected_fraud",
  lost_card: "suspected_fraud",
  merchant_blacklist: "suspected_fraud",
  pickup_card: "suspected_fraud",
  restricted_card: "suspected_fraud",
  security_violation: "suspected_fraud",
  stolen_card: "suspected_fraud",

  card_velocity_exceeded: "limit_exceeded",
  withdrawal_count_limit_exceeded: "limit_exceeded",
  pin_try_exceeded: "limit_exceeded",

  card_not_supported: "invalid_payment_method",
  currency_not_supported: "invalid_payment_method",
  incorrect_address: "invalid_payment_method",
  incorrect_cvc: "invalid_payment_method",
  incorrect_number: "invalid_payment_method",
  incorrect_pin: "invalid_payment_method",
  incorrect_zip: "invalid_payment_method",
  invalid_account: "invalid_payment_method",
  invalid_cvc: "invalid_payment_method",
  invalid_expiry_month: "invalid_payment_method",
  invalid_expiry_year: "invalid_payment_method",
  invalid_number: "invalid_payment_method",
  invalid_pin: "invalid_payment_method",
  new_account_information_available: "invalid_payment_method",
  payment_method_unactivated: "invalid_payment_method",
  payment_method_unexpected_state: "invalid_payment_method",
  payment_method_invalid_parameter: "invalid_payment_method",

  amount_too_large: "invalid_request",
  amount_too_small: "invalid_request",
  invalid_amount: "invalid_request",
};

/**
 * Why a payment failed.
 * @param declineCode the issuer's, where it gave one: it says more
 * @param code Stripe's own
 */
export function failureCodeOf(declineCode: string | null, code: string | null): FailureCode {
  return known(declineCode) ?? known(code) ?? "declined";
}

function known(code: string | null): FailureCode | undefined {
  return code !== null && Object.hasOwn(CODES, code) ? CODES[code] : undefined;
}
