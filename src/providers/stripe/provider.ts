import type Stripe from "stripe";
import type {
  ChargeOrder,
  ChargeOutcome,
  Declined,
  FindOutcome,
  PrepareOutcome,
  Provider,
} from "../provider.js";
import { minorUnits, readPayload } from "./accept.js";
import type { Connect } from "./connect.js";
import { type RequestFailure, readError } from "./connect.js";
import { failureCodeOf, type Intent, intentSchema, judgeIntent } from "./judge-intent.js";

/**
 * How many idempotency keys one call goes through. Stripe keeps the first answer under a key, 500s too, and repeats it
 * for a day or longer: without a next key a charge that met one 500 could not be made until Stripe forgot it.
 */
const KEYS = 4;

/** States from the one that says most: of several intents for one charge that one counts. */
const MOST_FIRST = [
  "succeeded",
  "processing",
  "requires_confirmation",
  "requires_action",
  "requires_payment_method",
];

/**
 * Charges by PaymentIntents, off-session. An intent is created unconfirmed, its id is committed as the charge's
 * `provider_id`, and only then it is confirmed. An intent succeeds once at the most, whatever keys it is confirmed
 * under and however late a request arrives: that, and no memory of Stripe's for keys, is what G6 rests on.
 */
export class StripeProvider implements Provider {
  readonly name = "stripe";

  constructor(private readonly connect: Connect) {}

  /** Moves nothing: an intent that nobody confirms takes no money. So whatever is unsure here is safe to repeat. */
  async prepare(order: ChargeOrder, signal: AbortSignal): Promise<PrepareOutcome> {
    const minor = minorUnits(order.currency ?? "", order.amount);
    if (minor.kind === "refused") return { kind: "declined", code: "invalid_request", detail: minor.detail };
    const { payment_method, customer } = readPayload(order.payload);
    const params: Stripe.PaymentIntentCreateParams = {
      amount: minor.amount,
      currency: (order.currency ?? "").toLowerCase(),
      payment_method,
      ...(customer === undefined ? {} : { customer }),
      capture_method: "automatic",
      // No customer is present who could be sent to another page.
      automatic_payment_methods: { enabled: true, allow_redirects: "never" },
      metadata: { charge_id: order.id, merchant_id: order.merchantId, reference: order.reference },
    };
    const stripe = this.connect(signal);
    const { answer } = await underKeys(order.id, (idempotencyKey) =>
      stripe.paymentIntents.create(params, { idempotencyKey }),
    );
    if ("intent" in answer) return { kind: "prepared", providerId: answer.intent.id };
    const { failure } = answer;
    switch (failure.kind) {
      case "card":
        return declinedBy(failure);
      case "invalid":
        return { kind: "declined", code: whyInvalid(failure), ...wordsOf(failure) };
      case "busy":
        return { ...failure, kind: "refused" };
      default:
        return { kind: "refused", detail: failure.detail };
    }
  }

  async charge(order: ChargeOrder, signal: AbortSignal): Promise<ChargeOutcome> {
    const { providerId } = order;
    if (providerId === null)
      return { kind: "refused", detail: "it has no name at Stripe yet: prepare it first" };
    const stripe = this.connect(signal);
    const { answer, round } = await underKeys(`${order.id}:confirm`, (idempotencyKey) =>
      stripe.paymentIntents.confirm(providerId, { off_session: true }, { idempotencyKey }),
    );
    if ("intent" in answer) return charged(await this.#conclude(stripe, order, answer.intent));
    const { failure } = answer;
    switch (failure.kind) {
      case "not_sent":
      case "busy":
      case "misconfigured":
        // After a first key whose stored answer was a 500, something may have been done under that one.
        return round === 0 ? { ...failure, kind: "refused" } : { kind: "unknown", detail: failure.detail };
      case "card":
        return charged(await this.#close(stripe, order, providerId, declinedBy(failure)));
      case "invalid":
        return charged(await this.#rejected(stripe, order, providerId, failure));
      case "key_spent":
      case "unsure":
        return { kind: "unknown", detail: failure.detail };
    }
  }

  async find(order: ChargeOrder, signal: AbortSignal): Promise<FindOutcome> {
    const stripe = this.connect(signal);
    if (order.providerId === null) return this.#search(stripe, order);
    return this.#look(stripe, order, order.providerId);
  }

  /**
   * Makes sure that it can't be charged any more, before it is given up. An intent that has succeeded stays so.
   * @returns `declined` once nothing can be charged; what it is instead where it can't be cancelled
   */
  async giveUp(order: ChargeOrder, signal: AbortSignal): Promise<FindOutcome> {
    const declined: Declined = { kind: "declined", code: "provider_unavailable", detail: "Given up." };
    // Confirmed only after its id was committed: without one there is nothing that could be charged.
    if (order.providerId === null) return declined;
    return this.#close(this.connect(signal), order, order.providerId, declined);
  }

  /** What an intent's state means, with what has to be done before that may be said. */
  async #conclude(stripe: Stripe, order: ChargeOrder, intent: Intent): Promise<FindOutcome> {
    // Another charge's intent says nothing of this one, and must not be cancelled in its name.
    if (!isOf(intent, order)) return { kind: "unknown", detail: foreign(intent.id) };
    const judged = judgeIntent(intent, order);
    if (judged.kind !== "to_cancel") return judged;
    return this.#close(stripe, order, intent.id, { ...judged, kind: "declined" });
  }

  /**
   * Cancels, and only then calls it declined. A failed intent takes another try: a confirmation of ours that is still
   * on its way, or one by hand in Stripe's dashboard, could make it succeed after we said that it never would. Stripe
   * does one thing at a time to an intent: either that confirmation comes first, and the cancellation is refused since
   * the intent has succeeded or is processing; or the cancellation does, and nothing succeeds under it ever again.
   * Whichever it was, the intent itself says so; where we hear nothing, `find` reads it.
   */
  async #close(stripe: Stripe, order: ChargeOrder, id: string, declined: Declined): Promise<FindOutcome> {
    // Without a key: cancelling twice does nothing, and a stored 500 would stand in the way for a day.
    const answer = await asked(() => stripe.paymentIntents.cancel(id));
    if ("intent" in answer)
      return answer.intent.status === "canceled" ? declined : unsure(answer.intent.status);
    if (answer.failure.kind !== "invalid") return { kind: "unknown", detail: answer.failure.detail };
    const now = await asked(() => stripe.paymentIntents.retrieve(id));
    if (!("intent" in now)) return { kind: "unknown", detail: now.failure.detail };
    const judged = judgeIntent(now.intent, order);
    if (judged.kind === "declined") return declined;
    return judged.kind === "to_cancel" || judged.kind === "absent" ? unsure(now.intent.status) : judged;
  }

  /** Stripe would not confirm: the intent is past that, or the request is one that it never takes. */
  async #rejected(
    stripe: Stripe,
    order: ChargeOrder,
    id: string,
    failure: RequestFailure & { kind: "invalid" },
  ): Promise<FindOutcome> {
    const now = await asked(() => stripe.paymentIntents.retrieve(id));
    if (!("intent" in now)) return unheard(now.failure, id);
    const judged = judgeIntent(now.intent, order);
    if (judged.kind !== "absent") return this.#conclude(stripe, order, now.intent);
    return this.#close(stripe, order, id, {
      kind: "declined",
      code: whyInvalid(failure),
      ...wordsOf(failure),
    });
  }

  async #look(stripe: Stripe, order: ChargeOrder, id: string): Promise<FindOutcome> {
    const answer = await asked(() => stripe.paymentIntents.retrieve(id));
    return "intent" in answer ? this.#conclude(stripe, order, answer.intent) : unheard(answer.failure, id);
  }

  /**
   * Nothing can have been charged without a `provider_id`: an intent is confirmed only by `charge`, and that only by an
   * id from the database. All the same what Stripe knows under our metadata counts for more than what we believe. Its
   * index is a minute or so behind, which costs nothing: whatever is missed is an intent that nobody can confirm.
   */
  async #search(stripe: Stripe, order: ChargeOrder): Promise<FindOutcome> {
    let found: Intent[];
    try {
      const query = `metadata['charge_id']:'${order.id}'`;
      found = intentSchema.array().parse((await stripe.paymentIntents.search({ query })).data);
    } catch (error) {
      return { kind: "unknown", detail: readError(error).detail };
    }
    // Its index may be older than the metadata: what it finds is this charge's only where the intent says so itself.
    const own = found.filter((intent) => isOf(intent, order));
    if (own.length === 0 && found.length > 0) return { kind: "unknown", detail: foreign(found[0]?.id ?? "") };
    const byState = MOST_FIRST.map((status) => own.find((intent) => intent.status === status));
    const intent = byState.find((one) => one !== undefined) ?? own[0];
    if (intent === undefined) return { kind: "absent", detail: "Stripe has never been told to charge it" };
    return this.#conclude(stripe, order, intent);
  }
}

type Answer = { readonly intent: Intent } | { readonly failure: RequestFailure };

async function asked(ask: () => Promise<unknown>): Promise<Answer> {
  try {
    return { intent: intentSchema.parse(await ask()) };
  } catch (error) {
    return { failure: readError(error) };
  }
}

/** Asks under one key after the other, as long as the answer that Stripe stores under them is of no use. */
async function underKeys(
  key: string,
  ask: (idempotencyKey: string) => Promise<unknown>,
): Promise<{ answer: Answer; round: number }> {
  for (let round = 0; ; round++) {
    const answer = await asked(() => ask(round === 0 ? key : `${key}:${round}`));
    if ("intent" in answer || answer.failure.kind !== "key_spent" || round === KEYS - 1)
      return { answer, round };
  }
}

/** An intent that is unconfirmed after it was confirmed is unknown: it is asked for. */
function charged(outcome: FindOutcome): ChargeOutcome {
  return outcome.kind === "absent" ? { kind: "unknown", detail: outcome.detail } : outcome;
}

function declinedBy(failure: RequestFailure & { kind: "card" }): Declined {
  return { kind: "declined", code: failureCodeOf(failure.declineCode, failure.code), ...wordsOf(failure) };
}

/** Without a sentence of Stripe's the facts are better than nothing. */
function wordsOf({
  detail,
  sentence,
}: RequestFailure & { kind: "card" | "invalid" }): Pick<Declined, "detail" | "sentence"> {
  return sentence === "" ? { detail } : { detail, sentence };
}

function whyInvalid({ code, param }: RequestFailure & { kind: "invalid" }): Declined["code"] {
  if (param === "payment_method" || param === "customer") return "invalid_payment_method";
  const why = failureCodeOf(null, code);
  return why === "declined" ? "invalid_request" : why;
}

function unsure(status: string): FindOutcome {
  return { kind: "unknown", detail: `its payment intent is ${status}, and could not be cancelled` };
}

function isOf({ metadata }: Intent, { id }: ChargeOrder): boolean {
  return metadata.charge_id === id;
}

function foreign(id: string): string {
  return `the metadata of ${id} name another charge: a person has to look`;
}

/** An id from our database that Stripe does not know is no sign that nothing was charged: it may be another account's. */
function unheard(failure: RequestFailure, id: string): FindOutcome {
  if (failure.kind === "invalid" && failure.status === 404)
    return { kind: "unknown", detail: `Stripe does not know ${id} under our key: is it another account's?` };
  return { kind: "unknown", detail: failure.detail };
}
