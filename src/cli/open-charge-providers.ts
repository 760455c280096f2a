import type { DataSource } from "typeorm";
import type { Config } from "../config.js";
import type { HorizonClient } from "../horizon/client.js";
import type { Acceptor } from "../providers/acceptance.js";
import type { Provider } from "../providers/provider.js";
import { openStellar, stellarAcceptor } from "../providers/stellar/open-stellar.js";
import { openStripe, stripeAcceptor } from "../providers/stripe/open-stripe.js";

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
