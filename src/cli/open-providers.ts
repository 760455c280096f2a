import type { Config } from "../config.js";
import type { Acceptor } from "../providers/acceptance.js";
import { stellarAcceptor } from "../providers/stellar/open-stellar.js";
import { stripeAcceptor } from "../providers/stripe/open-stripe.js";

/** One line for each provider: what says whether it can charge, or null where it is not configured. */
const ACCEPTORS: readonly ((config: Config) => Acceptor | null)[] = [stellarAcceptor, stripeAcceptor];

/** What this installation can charge through, by name. */
export function openAcceptors(config: Config): ReadonlyMap<string, Acceptor> {
  const acceptors = ACCEPTORS.map((open) => open(config)).filter((acceptor) => acceptor !== null);
  return new Map(acceptors.map((acceptor) => [acceptor.name, acceptor]));
}
