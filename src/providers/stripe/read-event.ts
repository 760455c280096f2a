import Stripe from "stripe";
import { type Intent, intentSchema } from "./judge-intent.js";

/** What an event of Stripe's says that concerns us. */
export type StripeEvent =
  | { readonly kind: "intent"; readonly type: string; readonly id: string; readonly intent: Intent }
  /** Signed, and about something else: the account may serve others too. */
  | { readonly kind: "other"; readonly type: string };

export class BadSignatureError extends Error {
  override readonly name = "BadSignatureError";
}

/**
 * Reads an event that somebody says is Stripe's (docs, "Verify webhook signatures"). One older than five minutes is
 * refused: Stripe signs each delivery anew.
 * @param body as it came: what is signed is its bytes
 * @throws BadSignatureError
 */
export async function readEvent(body: string, signature: string, secret: string): Promise<StripeEvent> {
  let event: { type: string; id: string; data: { object: unknown } };
  try {
    event = await Stripe.webhooks.constructEventAsync(body, signature, secret);
  } catch {
    // Its words hold the signature and the body; what is wrong with them is for whoever sent them to find out.
    throw new BadSignatureError("the signature is not one of Stripe's for this body, or is too old");
  }
  const type = String(event.type);
  if (!type.startsWith("payment_intent.")) return { kind: "other", type };
  const intent = intentSchema.safeParse(event.data?.object);
  return intent.success
    ? { kind: "intent", type, id: String(event.id), intent: intent.data }
    : { kind: "other", type };
}
