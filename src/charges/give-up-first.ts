import type { ChargeOrder, Provider } from "../providers/provider.js";
import { callProvider } from "./call-provider.js";
import { ChargeNotClosedError } from "./close-charge.js";

/**
 * Before a person calls a charge failed, its provider is told that nothing may be charged under it any more: a request
 * of ours that is still on some wire would make it succeed after everybody was told that it never will. A provider that
 * can't be told so has no such requests.
 * @throws ChargeNotClosedError where the provider says anything else than that nothing was charged
 */
export async function giveUpFirst(provider: Provider, charge: ChargeOrder, timeoutMs: number): Promise<void> {
  const giveUp = provider.giveUp?.bind(provider);
  if (giveUp === undefined) return;
  const said = await callProvider(timeoutMs, (signal) => giveUp(charge, signal));
  if (said.kind === "declined") return;
  const told = "detail" in said ? said.detail : `it has charged, as ${said.providerId}`;
  throw new ChargeNotClosedError(`${provider.name} does not say that nothing was charged: ${told}`);
}
