import type { DataSource } from "typeorm";
import type { Config } from "../config.js";
import type { HorizonClient } from "../horizon/client.js";
import type { Acceptor, Provider } from "../providers/provider.js";
import { StellarAcceptor, StellarProvider } from "../providers/stellar/provider.js";
import { STRIPE_ACCEPTOR } from "../providers/stripe/accept.js";
import { readSubmission } from "../submission/submissions.js";

/** The providers that this worker can charge through, by name; one line for each, null where it is not configured. */
export async function openChargeProviders(
  config: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): Promise<ReadonlyMap<string, Provider>> {
  const opened: readonly (Provider | null)[] = [
    openStellar(config, horizon, dataSource),
    await openStripe(config),
  ];
  const providers = opened.filter((provider) => provider !== null);
  return new Map(providers.map((provider) => [provider.name, provider]));
}

/** One line for each provider: what says whether it can charge, or null where it is not configured. */
const ACCEPTORS: readonly ((config: Config) => Acceptor | null)[] = [stellarAcceptor, stripeAcceptor];

/** What this installation can charge through, by name. */
export function openAcceptors(config: Config): ReadonlyMap<string, Acceptor> {
  const acceptors = ACCEPTORS.map((open) => open(config)).filter((acceptor) => acceptor !== null);
  return new Map(acceptors.map((acceptor) => [acceptor.name, acceptor]));
}

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
    import("../providers/stripe/connect.js"),
    import("../providers/stripe/provider.js"),
  ]);
  return new StripeProvider(stripeClients({ apiKey, apiUrl }));
}

/** For whoever accepts charges. */
export function stellarAcceptor({ NETWORK_PASSPHRASE }: Config): Acceptor {
  return new StellarAcceptor(NETWORK_PASSPHRASE);
}

/** Two ledgers: what is in neither by then is asked for later. */
const LEDGERS_MS = 12_000;

/** Of a call's time: the rest is for sending, and for the last look. Beyond the deadline an answer would be lost. */
const WAITING_SHARE = 0.6;

/** For whoever charges. */
export function openStellar(
  { NETWORK_PASSPHRASE: passphrase, CHARGE_TIMEOUT_MS: timeoutMs }: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): Provider {
  return new StellarProvider({
    horizon,
    passphrase,
    submissionOf: (id) => readSubmission(dataSource, id),
    awaitMs: Math.min(LEDGERS_MS, timeoutMs * WAITING_SHARE),
  });
}
