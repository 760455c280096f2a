import type { DataSource } from "typeorm";
import type { Config } from "../config.js";
import type { HorizonClient } from "../horizon/client.js";
import type { Provider } from "../providers/provider.js";
import { openStellar } from "../providers/stellar/open-stellar.js";
import { openStripe } from "../providers/stripe/open-stripe.js";

/** The providers that this worker can charge through, by name; one line for each, null where it is not configured. */
export function openChargeProviders(
  config: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): ReadonlyMap<string, Provider> {
  const opened: readonly (Provider | null)[] = [openStellar(config, horizon, dataSource), openStripe(config)];
  const providers = opened.filter((provider) => provider !== null);
  return new Map(providers.map((provider) => [provider.name, provider]));
}
