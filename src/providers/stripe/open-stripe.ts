import type { Config } from "../../config.js";
import type { Acceptor } from "../acceptance.js";
import type { Provider } from "../provider.js";
import { STRIPE_ACCEPTOR } from "./accept.js";

/** For whoever accepts charges. @returns null where Stripe is not configured */
export function stripeAcceptor({ STRIPE_API_KEY }: Config): Acceptor | null {
  return STRIPE_API_KEY === undefined ? null : STRIPE_ACCEPTOR;
}

/** For whoever charges. @returns null where Stripe is not configured */
export async function openStripe({
  STRIPE_API_KEY: apiKey,
  STRIPE_API_URL: apiUrl,
}: Config): Promise<Provider | null> {
  if (apiKey === undefined) return null;
  // Stripe's package takes a quarter of a second to load.
  const [{ stripeClients }, { StripeProvider }] = await Promise.all([
    import("./connect.js"),
    import("./provider.js"),
  ]);
  return new StripeProvider(stripeClients({ apiKey, apiUrl }));
}
