import type { FailureCode } from "../../entities/charge.js";

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
