/** What a payment method does when it is charged. */
export type CardBehaviour =
  | { readonly kind: "pays" }
  /** Decided later: see `finish`. */
  | { readonly kind: "processes" }
  /** Wants its owner, who is not there when it is charged off-session. */
  | { readonly kind: "wants_owner" }
  | {
      readonly kind: "declines";
      readonly code: string;
      readonly declineCode: string;
      readonly message: string;
    };

const declines = (
  declineCode: string,
  message = "Your card was declined.",
  code = "card_declined",
): CardBehaviour => ({
  kind: "declines",
  code,
  declineCode,
  message,
});

/** Stripe's own test payment methods (docs, "Testing"), by id. */
const CARDS: ReadonlyMap<string, CardBehaviour> = new Map([
  ["pm_card_visa", { kind: "pays" }],
  ["pm_card_mastercard", { kind: "pays" }],
  ["pm_card_amex", { kind: "pays" }],
  ["pm_usBankAccount_processing", { kind: "processes" }],
  ["pm_card_authenticationRequired", { kind: "wants_owner" }],
  ["pm_card_visa_chargeDeclined", declines("generic_decline")],
  [
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    declines("insufficient_funds", "Your card has insufficient funds."),
  ],
  ["pm_card_visa_chargeDeclinedLostCard", declines("lost_card")],
  ["pm_card_visa_chargeDeclinedStolenCard", declines("stolen_card")],
  ["pm_card_visa_chargeDeclinedFraudulent", declines("fraudulent")],
  ["pm_card_visa_chargeDeclinedVelocityLimitExceeded", declines("card_velocity_exceeded")],
  ["pm_card_chargeDeclinedExpiredCard", declines("expired_card", "Your card has expired.", "expired_card")],
  [
    "pm_card_chargeDeclinedIncorrectCvc",
    declines("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc"),
  ],
  [
    "pm_card_chargeDeclinedProcessingError",
    declines(
      "processing_error",
      "An error occurred while processing your card. Try again in a little bit.",
      "processing_error",
    ),
  ],
  ["pm_card_radarBlock", declines("fraudulent")],
]);

/** @returns null where there is no such payment method */
export function behaviourOf(paymentMethod: string): CardBehaviour | null {
  return CARDS.get(paymentMethod) ?? null;
}
