import { randomBytes } from "node:crypto";
import type { Journal } from "../server/journal.js";
import { invalidRequest, noSuch, StripeProblem, unexpectedState } from "./errors.js";
import { groupOf, type Params, textOf } from "./form.js";
import type { PaymentIntent } from "./payment-intent.js";
import { behaviourOf } from "./test-cards.js";

/** Money that was really taken: the sandbox's own book, which tests compare with. */
export type Taking = {
  readonly payment_intent: string;
  readonly amount: number;
  readonly currency: string;
};

export type IntentEvent =
  | "payment_intent.succeeded"
  | "payment_intent.payment_failed"
  | "payment_intent.processing"
  | "payment_intent.canceled";

/** The answer for an intent that can no longer be changed. */
const MISSING_METHOD =
  "You cannot confirm this PaymentIntent because it's missing a payment method. Update the PaymentIntent with a payment method, or attach one while confirming.";

/** PaymentIntents and the money that they took. Every method is one step: nothing happens in its middle. */
export class Bank {
  readonly #intents = new Map<string, PaymentIntent>();
  readonly #takings = new Map<string, Taking[]>();

  /**
   * @param tell hears of every change that Stripe sends webhooks about
   * @param journal what an earlier one left, and where every change is noted, the whole intent each time; nothing is kept
   *   without one. Kept answers are not in it: Stripe forgets its keys too
   */
  constructor(
    private readonly tell: (event: IntentEvent, intent: PaymentIntent) => void,
    private readonly journal: Journal<PaymentIntent> | null = null,
  ) {
    for (const intent of journal?.read() ?? []) this.#intents.set(intent.id, intent);
    for (const intent of this.#intents.values()) if (intent.status === "succeeded") this.#book(intent);
  }

  /** @throws StripeProblem */
  create(params: Params): PaymentIntent {
    const method = textOf(params, "payment_method");
    if (method !== null && behaviourOf(method) === null)
      throw noSuch("PaymentMethod", method, "payment_method");
    const isConfirmed = textOf(params, "confirm") === "true";
    if (!isConfirmed && textOf(params, "off_session") !== null)
      throw invalidRequest("You can only provide off_session if confirm is true.", "off_session");
    const id = `pi_${randomBytes(12).toString("hex")}`;
    const automatic = groupOf(params, "automatic_payment_methods");
    // The default since API version 2023-08-16, unless the types are named.
    const isAutomatic =
      textOf(automatic, "enabled") === "true" ||
      (automatic.enabled === undefined && params.payment_method_types === undefined);
    const intent: PaymentIntent = {
      id,
      object: "payment_intent",
      amount: amountOf(params),
      amount_capturable: 0,
      amount_received: 0,
      automatic_payment_methods: isAutomatic
        ? { enabled: true, allow_redirects: textOf(automatic, "allow_redirects") ?? "always" }
        : null,
      canceled_at: null,
      cancellation_reason: null,
      capture_method: "automatic",
      client_secret: `${id}_secret_${randomBytes(12).toString("hex")}`,
      confirmation_method: "automatic",
      created: Math.floor(Date.now() / 1000),
      currency: currencyOf(params),
      customer: textOf(params, "customer"),
      description: textOf(params, "description"),
      last_payment_error: null,
      latest_charge: null,
      livemode: false,
      metadata: groupOf(params, "metadata") as Record<string, string>,
      next_action: null,
      payment_method: method,
      payment_method_types: ["card"],
      status: method === null ? "requires_payment_method" : "requires_confirmation",
    };
    this.#intents.set(id, intent);
    this.journal?.append(intent);
    return isConfirmed ? this.confirm(id, params) : intent;
  }

  /** Charges. An intent that has succeeded never does again, whatever key it is asked under. @throws StripeProblem */
  confirm(id: string, params: Params): PaymentIntent {
    const intent = this.retrieve(id);
    const method = textOf(params, "payment_method") ?? intent.payment_method;
    if (!["requires_confirmation", "requires_payment_method", "requires_action"].includes(intent.status))
      throw unexpectedState(
        `You cannot confirm this PaymentIntent because it has a status of ${intent.status}.`,
        intent,
      );
    const behaviour = method === null ? null : behaviourOf(method);
    if (method === null || behaviour === null) throw unexpectedState(MISSING_METHOD, intent);
    const redirects = intent.automatic_payment_methods?.allow_redirects === "always";
    if (redirects && textOf(params, "return_url") === null)
      throw invalidRequest(
        "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`.",
        "return_url",
      );
    intent.payment_method = method;
    intent.last_payment_error = null;
    switch (behaviour.kind) {
      case "pays":
        this.#take(intent);
        return intent;
      case "processes":
        intent.status = "processing";
        this.journal?.append(intent);
        this.tell("payment_intent.processing", intent);
        return intent;
      case "wants_owner":
        if (textOf(params, "off_session") !== "true") {
          intent.status = "requires_action";
          intent.next_action = { type: "use_stripe_sdk", use_stripe_sdk: {} };
          this.journal?.append(intent);
          return intent;
        }
        throw this.#decline(
          intent,
          "authentication_required",
          "authentication_required",
          "Your card was declined. This transaction requires authentication.",
        );
      case "declines":
        throw this.#decline(intent, behaviour.code, behaviour.declineCode, behaviour.message);
    }
  }

  /** Decides an intent that is in `processing`. @throws StripeProblem where it is not in processing */
  finish(id: string, succeeds: boolean): PaymentIntent {
    const intent = this.retrieve(id);
    if (intent.status !== "processing") throw unexpectedState(`It is ${intent.status}.`, intent);
    if (succeeds) this.#take(intent);
    else this.#decline(intent, "payment_method_provider_decline", "generic_decline", "The bank refused it.");
    return intent;
  }

  /** It can never succeed from now on. @throws StripeProblem */
  cancel(id: string, params: Params): PaymentIntent {
    const intent = this.retrieve(id);
    if (!["requires_confirmation", "requires_payment_method", "requires_action"].includes(intent.status))
      throw unexpectedState(
        `You cannot cancel this PaymentIntent because it has a status of ${intent.status}.`,
        intent,
      );
    intent.status = "canceled";
    intent.next_action = null;
    intent.canceled_at = Math.floor(Date.now() / 1000);
    intent.cancellation_reason = textOf(params, "cancellation_reason");
    this.journal?.append(intent);
    this.tell("payment_intent.canceled", intent);
    return intent;
  }

  /** @throws StripeProblem 404 */
  retrieve(id: string): PaymentIntent {
    const intent = this.#intents.get(id);
    if (intent === undefined) throw noSuch("payment_intent", id, "intent");
    return intent;
  }

  /** All, the newest first. */
  list(): PaymentIntent[] {
    return [...this.#intents.values()].reverse();
  }

  /** The payments that were taken for a charge of ours: more than one is a double charge. */
  taken(chargeId: string): readonly Taking[] {
    return this.#takings.get(chargeId) ?? [];
  }

  takings(): ReadonlyMap<string, readonly Taking[]> {
    return this.#takings;
  }

  #take(intent: PaymentIntent): void {
    intent.status = "succeeded";
    intent.amount_received = intent.amount;
    intent.latest_charge = `ch_${randomBytes(12).toString("hex")}`;
    this.#book(intent);
    this.journal?.append(intent);
    this.tell("payment_intent.succeeded", intent);
  }

  #book({ id, metadata, amount, currency }: PaymentIntent): void {
    const chargeId = metadata.charge_id ?? id;
    this.#takings.set(chargeId, [...this.taken(chargeId), { payment_intent: id, amount, currency }]);
  }

  /** The method that was declined is taken off the intent, as Stripe does. */
  #decline(intent: PaymentIntent, code: string, declineCode: string, message: string): StripeProblem {
    intent.status = "requires_payment_method";
    intent.last_payment_error = { type: "card_error", code, decline_code: declineCode, message };
    intent.payment_method = null;
    this.journal?.append(intent);
    this.tell("payment_intent.payment_failed", intent);
    return new StripeProblem(402, "card_error", message, { code, declineCode, intent, isKept: true });
  }
}

function amountOf(params: Params): number {
  const text = textOf(params, "amount");
  if (text === null || !/^\d{1,12}$/.test(text)) throw invalidRequest("Invalid integer", "amount");
  const amount = Number(text);
  if (amount < 1) throw invalidRequest("Invalid positive integer", "amount", "parameter_invalid_integer");
  if (amount > 99_999_999)
    throw invalidRequest("Amount must be no more than $999,999.99", "amount", "amount_too_large");
  return amount;
}

/** Stripe takes fewer, by account and country; what is in no list it takes from nobody. */
const CURRENCIES: ReadonlySet<string> = new Set(
  Intl.supportedValuesOf("currency").map((code) => code.toLowerCase()),
);

function currencyOf(params: Params): string {
  const currency = textOf(params, "currency");
  if (currency === null || !CURRENCIES.has(currency)) {
    throw invalidRequest(`Invalid currency: ${String(currency).slice(0, 20)}.`, "currency");
  }
  return currency;
}
