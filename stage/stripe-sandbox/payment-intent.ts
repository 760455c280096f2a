/** A PaymentIntent as Stripe's API shows it: the fields that clients of ours read, and those that look odd when missing. */
export type PaymentIntent = {
  readonly id: string;
  readonly object: "payment_intent";
  /** In the currency's minor units. */
  readonly amount: number;
  amount_capturable: number;
  amount_received: number;
  readonly automatic_payment_methods: { readonly enabled: boolean; readonly allow_redirects: string } | null;
  canceled_at: number | null;
  cancellation_reason: string | null;
  readonly capture_method: "automatic" | "automatic_async";
  readonly client_secret: string;
  readonly confirmation_method: "automatic";
  /** Unix time in seconds. */
  readonly created: number;
  readonly currency: string;
  readonly customer: string | null;
  readonly description: string | null;
  last_payment_error: Readonly<Record<string, unknown>> | null;
  latest_charge: string | null;
  readonly livemode: false;
  readonly metadata: Readonly<Record<string, string>>;
  next_action: Readonly<Record<string, unknown>> | null;
  payment_method: string | null;
  readonly payment_method_types: readonly string[];
  status: IntentStatus;
};

/** Stripe docs, "How PaymentIntents and SetupIntents work", without capturing by hand. */
export type IntentStatus =
  | "requires_payment_method"
  | "requires_confirmation"
  | "requires_action"
  | "processing"
  | "succeeded"
  | "canceled";
