import type { DataSource } from "typeorm";
import type { Config } from "../config.js";
import type { HorizonClient } from "../horizon/client.js";
import type { Provider } from "../providers/provider.js";
import { openStellar } from "../providers/stellar/open-stellar.js";

/** The providers that this worker can charge through, by name: those that are configured. */
export function openChargeProviders(
  config: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): ReadonlyMap<string, Provider> {
  const providers: Provider[] = [openStellar(config, horizon, dataSource)];
  return new Map(providers.map((provider) => [provider.name, provider]));
}
