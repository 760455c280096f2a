import type { Config } from "../../config.js";
import type { Acceptor } from "../acceptance.js";
import type { Provider } from "../provider.js";
import { STRIPE_ACCEPTOR } from "./accept.js";
import { stripeClients } from "./connect.js";
import { StripeProvider } from "./provider.js";

/** For whoever accepts charges. @returns null where Stripe is not configured */
export function stripeAcceptor({ STRIPE_API_KEY }: Config): Acceptor | null {
  return STRIPE_API_KEY === undefined ? null : STRIPE_ACCEPTOR;
}

/** For whoever charges. @returns null where Stripe is not configured */
export function openStripe({ STRIPE_API_KEY: apiKey, STRIPE_API_URL: apiUrl }: Config): Provider | null {
  return apiKey === undefined ? null : new StripeProvider(stripeClients({ apiKey, apiUrl }));
}
