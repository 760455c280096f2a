import { type Intent, intentSchema } from "./judge-intent.js";

/** What an event of Stripe's says that concerns us. */
export type StripeEvent =
  | { readonly kind: "intent"; readonly type: string; readonly id: string; readonly intent: Intent }
  /** Signed, and about something else: the account may serve others too. */
  | { readonly kind: "other"; readonly type: string };

export class BadSignatureError extends Error {
  override readonly name = "BadSignatureError";
}

/** Signed by Stripe, and no event that can be read here; the message says what to do about it. */
export class UnfitEventError extends Error {
  override readonly name = "UnfitEventError";
}

/**
 * Reads an event that somebody says is Stripe's (docs, "Verify webhook signatures"). One older than five minutes is
 * refused: Stripe signs each delivery anew.
 * @param body as it came: what is signed is its bytes
 * @throws BadSignatureError, UnfitEventError
 */
export async function readEvent(body: string, signature: string, secret: string): Promise<StripeEvent> {
  // Loaded by the first event: an API that expects none starts without it.
  const { Stripe } = await import("stripe");
  const { signature: verifier } = Stripe.webhooks;
  if (verifier === null) throw new Error("Stripe's package can't verify signatures");
  try {
    // Not `constructEvent`: what it throws for a thin event can't be told from a wrong signature.
    await verifier.verifyHeaderAsync(body, signature, secret, TOLERANCE_SECONDS);
  } catch {
    // Its words hold the signature and the body; what is wrong with them is for whoever sent them to find out.
    throw new BadSignatureError("the signature is not one of Stripe's for this body, or is too old");
  }
  const event = parsed(body);
  if (event.object !== "event") {
    throw new UnfitEventError(
      "it is a thin event (v2), which names an object and does not show it. At Stripe make an event destination whose payload style is Snapshot, with the events payment_intent.*",
    );
  }
  const type = String(event.type);
  if (!type.startsWith("payment_intent.")) return { kind: "other", type };
  const intent = intentSchema.safeParse(event.data?.object);
  return intent.success
    ? { kind: "intent", type, id: String(event.id), intent: intent.data }
    : { kind: "other", type };
}

const TOLERANCE_SECONDS = 5 * 60;

type Event = {
  readonly object?: unknown;
  readonly type?: unknown;
  readonly id?: unknown;
  readonly data?: { readonly object?: unknown } | null;
};

function parsed(body: string): Event {
  try {
    return Object(JSON.parse(body));
  } catch {
    throw new UnfitEventError("its body is not JSON");
  }
}
